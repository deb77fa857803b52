/* A pipeline from a launch string, kept playing: it is built anew where it ends unasked, if wished.
 *
 *   the pipeline                     | exit code | `pipeline_restart`
 *   comes to its end, and is live    | ENDED     | is built anew after a wait
 *   comes to its end, and is not     | STOPPED   | stays ended
 *   fails                            | FAILED    | is built anew after a wait
 *   hangs on its way to a standstill | FAILED    | stays as it is
 *
 * One thread plays it and waits; the program's main loop turns meanwhile. Told to terminate, the agent has the binding stop it:
 * how that went, the agent knows, and the thread is silent. */
#include "keeper.h"

#include "binding-private.h"
#include "call.h"
#include "log.h"
#include "walk.h"

/* Before a pipeline is built anew; doubled each time. */
#define BASE_US G_TIME_SPAN_SECOND
#define CAP_US (60 * G_TIME_SPAN_SECOND)
/* A pipeline that played for so long has held: the next wait is the first one again. */
#define HELD_US (10 * G_TIME_SPAN_SECOND)
#define QUERY_US G_TIME_SPAN_SECOND
#define NAME "pipeline"
#define NO_THREAD "pipeline does not start: no thread can be made"

struct _DscoreKeeper {
  DscoreAgent *agent;
  DscoreGstBinding *binding;
  char *launch;
  DscoreKeeperOver over;
  gpointer data;
  DscoreExit code;
  char *cause;

  GMutex lock;
  GCond telling;
  gboolean told;
  GstPipeline *pipeline;
  DscoreAttachment *attachment;
};

typedef struct {
  DscoreKeeper *keeper;
  GstPipeline *pipeline;
  GstStateChangeReturn started;
  gboolean live;
} Play;

static void
clear (gpointer data)
{
  DscoreKeeper *keeper = data;

  g_clear_pointer (&keeper->attachment, dscore_attachment_unref);
  gst_clear_object (&keeper->pipeline);
  g_object_unref (keeper->binding);
  g_object_unref (keeper->agent);
  g_free (keeper->launch);
  g_free (keeper->cause);
  g_cond_clear (&keeper->telling);
  g_mutex_clear (&keeper->lock);
}

void
dscore_keeper_unref (DscoreKeeper *keeper)
{
  g_atomic_rc_box_release_full (keeper, clear);
}

static gboolean
is_told (DscoreKeeper *keeper)
{
  gboolean told;

  g_mutex_lock (&keeper->lock);
  told = keeper->told;
  g_mutex_unlock (&keeper->lock);
  return told || dscore_agent_get_state (keeper->agent) >= DSCORE_STATE_TERMINATING;
}

static gboolean
drop_message (GstBus *bus, GstMessage *message, gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static GstPipeline *
parse (const char *launch, GError **error)
{
  GstElement *parsed = gst_parse_launch_full (launch, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error), *pipeline;

  if (parsed == NULL)
    return NULL;
  gst_object_ref_sink (parsed);
  if (GST_IS_PIPELINE (parsed))
    return GST_PIPELINE (parsed);
  /* A single element or bin is given as it is. */
  pipeline = gst_object_ref_sink (gst_pipeline_new (NULL));
  gst_bin_add (GST_BIN (pipeline), parsed);
  gst_object_unref (parsed);
  return GST_PIPELINE (pipeline);
}

/* The watch would keep the bus, and its descriptors, in the main context for good. */
static void
let_go (DscoreKeeper *keeper)
{
  g_autoptr (GstBus) bus = keeper->pipeline == NULL ? NULL : gst_element_get_bus (GST_ELEMENT (keeper->pipeline));

  if (bus != NULL)
    gst_bus_remove_watch (bus);
  gst_clear_object (&keeper->pipeline);
  g_clear_pointer (&keeper->attachment, dscore_attachment_unref);
}

/* What leaves the pipeline's bus is dropped: there it has been heard. */
static gboolean
build (DscoreKeeper *keeper, GError **error)
{
  GstPipeline *pipeline = parse (keeper->launch, error);
  g_autoptr (GstBus) bus = NULL;

  if (pipeline == NULL)
    return FALSE;
  bus = gst_element_get_bus (GST_ELEMENT (pipeline));
  gst_bus_add_watch (bus, drop_message, NULL);
  dscore_gst_binding_add (keeper->binding, pipeline, NAME);
  g_mutex_lock (&keeper->lock);
  let_go (keeper);
  keeper->pipeline = pipeline;
  keeper->attachment = dscore_gst_binding_lookup (keeper->binding, pipeline);
  g_mutex_unlock (&keeper->lock);
  return TRUE;
}

DscoreKeeper *
dscore_keeper_new (DscoreAgent *agent, const char *launch, GError **error)
{
  DscoreKeeper *keeper = g_atomic_rc_box_new0 (DscoreKeeper);

  g_mutex_init (&keeper->lock);
  g_cond_init (&keeper->telling);
  keeper->agent = g_object_ref (agent);
  keeper->binding = dscore_gst_binding_new (agent);
  keeper->launch = g_strdup (launch);
  if (gst_init_check (NULL, NULL, error) && build (keeper, error))
    return keeper;
  dscore_keeper_unref (keeper);
  return NULL;
}

/* In two steps: only the way to PAUSED tells whether data comes as time goes by. */
static void
begin (gpointer data, gpointer call)
{
  Play *play = data;

  play->started = gst_element_set_state (GST_ELEMENT (play->pipeline), GST_STATE_PAUSED);
  play->live = play->started == GST_STATE_CHANGE_NO_PREROLL;
  if (play->started != GST_STATE_CHANGE_FAILURE && !is_told (play->keeper))
    play->started = gst_element_set_state (GST_ELEMENT (play->pipeline), GST_STATE_PLAYING);
}

/* A source may have been made later. The query waits for elements. */
static void
ask_for_live (gpointer data, gpointer call)
{
  Play *play = data;

  play->live = dscore_walk_has_live_source (GST_BIN (play->pipeline));
}

static void
play_free (gpointer data)
{
  Play *play = data;

  gst_object_unref (play->pipeline);
  dscore_keeper_unref (play->keeper);
  g_free (play);
}

static Play *
play_new (DscoreKeeper *keeper)
{
  Play *play = g_new0 (Play, 1);

  play->keeper = g_atomic_rc_box_acquire (keeper);
  play->pipeline = gst_object_ref (keeper->pipeline);
  return play;
}

static gboolean
is_live (DscoreKeeper *keeper)
{
  Play *play = play_new (keeper);
  g_autoptr (DscoreCall) asking = dscore_call_start ("dscore-live", ask_for_live, play, play_free);

  return dscore_call_wait (asking, g_get_monotonic_time () + QUERY_US) && play->live;
}

/* Takes the cause over. */
static void
end_as (DscoreKeeper *keeper, DscoreExit code, char *cause)
{
  g_free (keeper->cause);
  keeper->code = code;
  keeper->cause = cause;
}

static void
play_until_over (DscoreKeeper *keeper)
{
  DscoreEnding *ending = dscore_attachment_get_ending (keeper->attachment);
  Play *play = play_new (keeper);
  g_autoptr (DscoreCall) playing = dscore_call_start ("dscore-play", begin, play, play_free);
  g_autofree char *fault = NULL;

  if (!dscore_call_join (playing)) {
    end_as (keeper, DSCORE_EXIT_FAILED, g_strdup (NO_THREAD));
    return;
  }
  if (play->started != GST_STATE_CHANGE_FAILURE)
    dscore_ending_wait_over (ending);
  fault = dscore_ending_dup_first_error (ending);
  if (play->started == GST_STATE_CHANGE_FAILURE)
    end_as (keeper, DSCORE_EXIT_FAILED, g_strdup_printf ("pipeline does not start: %s", fault == NULL ? "no element says why" : fault));
  else if (fault != NULL)
    end_as (keeper, DSCORE_EXIT_FAILED, g_strdup_printf ("pipeline failed: %s", fault));
  else if (play->live || is_live (keeper))
    end_as (keeper, DSCORE_EXIT_ENDED, g_strdup ("pipeline ended unasked: a live stream came to its end"));
  else
    end_as (keeper, DSCORE_EXIT_STOPPED, g_strdup ("pipeline ended"));
}

/* NULL: it is being stopped, and was not in time. */
static DscoreStopReport *
stop (DscoreKeeper *keeper)
{
  DscoreConfig *config = dscore_agent_get_config (keeper->agent);
  DscoreStopOptions options = { dscore_config_get_pipeline_stop_timeout (config),
                                g_get_monotonic_time () + dscore_config_get_graceful_shutdown_timeout (config), NULL, NULL };
  g_autoptr (GstPipeline) pipeline = NULL;
  g_autoptr (DscoreAttachment) attachment = NULL;

  g_mutex_lock (&keeper->lock);
  pipeline = gst_object_ref (keeper->pipeline);
  attachment = dscore_attachment_ref (keeper->attachment);
  g_mutex_unlock (&keeper->lock);
  return dscore_attachment_stop (attachment, pipeline, &options);
}

static gboolean
is_told_within (DscoreKeeper *keeper, gint64 wait)
{
  gint64 until = g_get_monotonic_time () + wait;

  g_mutex_lock (&keeper->lock);
  while (!keeper->told && g_get_monotonic_time () < until)
    g_cond_wait_until (&keeper->telling, &keeper->lock, until);
  g_mutex_unlock (&keeper->lock);
  return is_told (keeper);
}

static void
log_restart (const char *cause, gint64 wait)
{
  g_autofree char *seconds = g_strdup_printf ("%g", (double) wait / G_TIME_SPAN_SECOND);

  dscore_log (G_LOG_LEVEL_WARNING, "pipeline_restarts", "cause", cause, "seconds", seconds, NULL);
}

static gboolean
is_stopped (const DscoreStopReport *report)
{
  return report != NULL && report->ok;
}

/* Whether another one is to be built, after a wait. */
static gboolean
goes_on (DscoreKeeper *keeper, guint *attempt, gint64 held)
{
  g_autoptr (DscoreStopReport) report = stop (keeper);
  gint64 wait;

  if (is_told (keeper))
    return FALSE;
  if (!is_stopped (report))
    end_as (keeper, DSCORE_EXIT_FAILED, g_strdup (report == NULL ? "the pipeline did not stop in time" : report->message));
  if (!is_stopped (report) || keeper->code == DSCORE_EXIT_STOPPED
      || !dscore_config_get_pipeline_restart (dscore_agent_get_config (keeper->agent)))
    return FALSE;
  *attempt = held >= HELD_US ? 0 : *attempt;
  wait = MIN (BASE_US << *attempt, CAP_US);
  *attempt = MIN (*attempt + 1, 16);
  log_restart (keeper->cause, wait);
  return !is_told_within (keeper, wait);
}

static gboolean
tell_over (gpointer data)
{
  DscoreKeeper *keeper = data;

  if (!is_told (keeper))
    keeper->over (keeper->code, keeper->cause, keeper->data);
  return G_SOURCE_REMOVE;
}

static void
tell_over_later (DscoreKeeper *keeper)
{
  g_idle_add_full (G_PRIORITY_DEFAULT, tell_over, g_atomic_rc_box_acquire (keeper), (GDestroyNotify) dscore_keeper_unref);
}

static void
keep (gpointer data, gpointer call)
{
  DscoreKeeper *keeper = data;
  g_autoptr (GError) error = NULL;
  gint64 began = g_get_monotonic_time ();
  guint attempt = 0;

  play_until_over (keeper);
  while (error == NULL && goes_on (keeper, &attempt, g_get_monotonic_time () - began)) {
    began = g_get_monotonic_time ();
    if (build (keeper, &error))
      play_until_over (keeper);
    else
      end_as (keeper, DSCORE_EXIT_FAILED, g_strdup_printf ("pipeline cannot be built: %s", error->message));
  }
  tell_over_later (keeper);
}

void
dscore_keeper_start (DscoreKeeper *keeper, DscoreKeeperOver over, gpointer data)
{
  g_autoptr (DscoreCall) keeping = NULL;

  keeper->over = over;
  keeper->data = data;
  keeping = dscore_call_start ("dscore-keeper", keep, g_atomic_rc_box_acquire (keeper), (GDestroyNotify) dscore_keeper_unref);
  if (dscore_call_has_begun (keeping))
    return;
  end_as (keeper, DSCORE_EXIT_FAILED, g_strdup (NO_THREAD));
  tell_over_later (keeper);
}

DscoreExit
dscore_keeper_stop (DscoreKeeper *keeper)
{
  g_autoptr (DscoreStopReport) report = NULL;

  g_mutex_lock (&keeper->lock);
  keeper->told = TRUE;
  g_cond_broadcast (&keeper->telling);
  g_mutex_unlock (&keeper->lock);
  report = stop (keeper);
  if (!is_stopped (report))
    return DSCORE_EXIT_FORCED;
  return report->complete ? DSCORE_EXIT_STOPPED : DSCORE_EXIT_INCOMPLETE;
}
