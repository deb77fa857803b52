/* One pipeline of the application: its bus is heard, it is watched, and it is never kept alive.
 *
 * The application takes the messages of the bus; here they are only heard as they are posted, in the thread that posts them.
 * Such a thread must not hold the pipeline's last reference, so there the pipeline is an address to be compared. */
#include "attachment.h"

#include "call.h"
#include "log.h"
#include "stuck.h"
#include "walk.h"

/* A sink that has no frame by then is worth a warning. */
#define PREROLL_US (10 * G_TIME_SPAN_SECOND)
/* Different faults that are remembered as logged; beyond it all of them are forgotten. */
#define MAX_LOGGED 100

struct _DscoreAttachment {
  gconstpointer address;
  GWeakRef pipeline;
  char *name;
  gboolean named;
  DscoreEnding *ending;
  DscoreStandstill standstill;
  DscoreReporter *reporter;
  GstBus *bus;
  gulong hearing;

  GMutex lock;
  GCond detaching;
  gboolean detached;
  gboolean watching_preroll;
  GHashTable *logged; /* Faults that the log has already; elements repeat themselves with each attempt. */
  DscoreLogLimit lines;
};

DscoreAttachment *
dscore_attachment_ref (DscoreAttachment *attachment)
{
  return g_atomic_rc_box_acquire (attachment);
}

static void
clear (gpointer data)
{
  DscoreAttachment *attachment = data;

  g_weak_ref_clear (&attachment->pipeline);
  g_free (attachment->name);
  dscore_standstill_clear (&attachment->standstill);
  dscore_ending_unref (attachment->ending);
  dscore_reporter_unref (attachment->reporter);
  gst_object_unref (attachment->bus);
  g_hash_table_unref (attachment->logged);
  g_cond_clear (&attachment->detaching);
  g_mutex_clear (&attachment->lock);
}

void
dscore_attachment_unref (DscoreAttachment *attachment)
{
  g_atomic_rc_box_release_full (attachment, clear);
}

static void
release (gpointer data, GClosure *closure)
{
  dscore_attachment_unref (data);
}

/* Whether it is to be logged. What is said of those that were not is said without the lock: a program's log may call back. */
static gboolean
is_worth_a_line (DscoreAttachment *attachment, gboolean is_fault, const char *words)
{
  gboolean worth;
  guint left_out = 0;

  g_mutex_lock (&attachment->lock);
  if (g_hash_table_size (attachment->logged) >= MAX_LOGGED)
    g_hash_table_remove_all (attachment->logged);
  worth = !is_fault || g_hash_table_add (attachment->logged, g_strdup (words));
  worth = worth && dscore_log_counts (&attachment->lines, &left_out);
  g_mutex_unlock (&attachment->lock);
  dscore_log_left_out (left_out, "the pipeline causes too many");
  return worth;
}

static void
log_event (DscoreAttachment *attachment, const DscorePipelineEvent *event)
{
  gboolean is_fault = event->kind == DSCORE_PIPELINE_ERROR || event->kind == DSCORE_PIPELINE_WARNING;
  g_autofree char *words = dscore_pipeline_event_to_string (event);
  g_autofree char *name = NULL;

  if (!is_worth_a_line (attachment, is_fault, words))
    return;
  name = g_strconcat ("pipeline_", dscore_pipeline_kind_to_string (event->kind), NULL);
  dscore_log (is_fault ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_INFO, name, "pipeline", attachment->name, "source", event->source,
              "message", event->message, NULL);
}

/* In any thread, a streaming thread mostly. */
static void
see (DscoreAttachment *attachment, const DscorePipelineEvent *event)
{
  log_event (attachment, event);
  dscore_ending_see (attachment->ending, event);
  dscore_reporter_see (attachment->reporter, event, g_get_monotonic_time ());
}

static gboolean
is_wanted_up (GstPipeline *pipeline)
{
  gboolean up;

  GST_OBJECT_LOCK (pipeline);
  up = GST_STATE_TARGET (pipeline) >= GST_STATE_PAUSED;
  GST_OBJECT_UNLOCK (pipeline);
  return up;
}

/* Names the sinks that wait for their first frame in vain. */
static void
warn_of_preroll (DscoreAttachment *attachment, GstPipeline *pipeline)
{
  g_autoptr (GPtrArray) waiting = dscore_stuck_waiting_sinks (GST_BIN (pipeline));
  g_autofree char *names = NULL;

  if (waiting->len == 0) {
    g_ptr_array_unref (waiting);
    waiting = dscore_stuck_changing (GST_BIN (pipeline));
  }
  names = dscore_names_join (waiting);
  if (waiting->len > 0)
    dscore_log (G_LOG_LEVEL_WARNING, "pipeline_not_playing", "pipeline", attachment->name, "waiting", names, NULL);
}

static void
watch_preroll (gpointer data, gpointer call)
{
  DscoreAttachment *attachment = data;
  gint64 until = g_get_monotonic_time () + PREROLL_US;
  g_autoptr (GstPipeline) pipeline = NULL;
  gboolean detached;

  g_mutex_lock (&attachment->lock);
  while (!attachment->detached && g_get_monotonic_time () < until)
    g_cond_wait_until (&attachment->detaching, &attachment->lock, until);
  detached = attachment->detached;
  g_mutex_unlock (&attachment->lock);
  pipeline = detached ? NULL : dscore_attachment_dup_pipeline (attachment);
  if (pipeline == NULL)
    return;
  if (is_wanted_up (pipeline)) {
    warn_of_preroll (attachment, pipeline);
    return;
  }
  /* It was only made ready, and may be played later. */
  g_mutex_lock (&attachment->lock);
  attachment->watching_preroll = FALSE;
  g_mutex_unlock (&attachment->lock);
}

/* Once; a thread waits, for there is no loop here that is sure to turn. */
static void
begin_preroll (DscoreAttachment *attachment)
{
  gboolean begin;

  g_mutex_lock (&attachment->lock);
  begin = !attachment->watching_preroll && !attachment->detached;
  attachment->watching_preroll = TRUE;
  g_mutex_unlock (&attachment->lock);
  if (begin)
    dscore_call_unref (dscore_call_start ("dscore-preroll", watch_preroll, dscore_attachment_ref (attachment),
                                          (GDestroyNotify) dscore_attachment_unref));
}

static void
see_state (DscoreAttachment *attachment, GstMessage *message)
{
  GstState old_state, new_state;

  gst_message_parse_state_changed (message, &old_state, &new_state, NULL);
  if (old_state == GST_STATE_NULL)
    begin_preroll (attachment);
  if ((gconstpointer) GST_MESSAGE_SRC (message) == attachment->address && new_state == GST_STATE_PLAYING)
    dscore_log (G_LOG_LEVEL_INFO, "pipeline_playing", "pipeline", attachment->name, NULL);
}

static void
hear (GstBus *bus, GstMessage *message, gpointer data)
{
  DscoreAttachment *attachment = data;
  g_autoptr (DscorePipelineEvent) event = NULL;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_STATE_CHANGED) {
    see_state (attachment, message);
    return;
  }
  event = dscore_pipeline_event_read (attachment->address, message);
  if (event != NULL)
    see (attachment, event);
}

static void
see_element (DscoreAttachment *attachment, GstElement *element, DscorePipelineKind kind)
{
  g_autoptr (DscorePipelineEvent) event = NULL;

  if (!dscore_walk_is_source (element))
    return;
  event = dscore_pipeline_event_new (kind, GST_OBJECT_NAME (element));
  see (attachment, event);
}

static void
on_element_added (GstBin *bin, GstElement *element, gpointer data)
{
  see_element (data, element, DSCORE_PIPELINE_STREAM_ADDED);
}

static void
on_element_removed (GstBin *bin, GstElement *element, gpointer data)
{
  see_element (data, element, DSCORE_PIPELINE_STREAM_REMOVED);
}

DscoreAttachment *
dscore_attachment_new (GstPipeline *pipeline, const char *name, DscoreReporter *reporter)
{
  DscoreAttachment *attachment = g_atomic_rc_box_new0 (DscoreAttachment);

  attachment->address = pipeline;
  g_weak_ref_init (&attachment->pipeline, pipeline);
  attachment->name = name == NULL ? gst_object_get_name (GST_OBJECT (pipeline)) : g_strdup (name);
  attachment->named = name != NULL;
  attachment->ending = dscore_ending_new ();
  dscore_standstill_init (&attachment->standstill);
  attachment->reporter = dscore_reporter_ref (reporter);
  attachment->bus = gst_element_get_bus (GST_ELEMENT (pipeline));
  attachment->logged = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_mutex_init (&attachment->lock);
  g_cond_init (&attachment->detaching);
  gst_bus_enable_sync_message_emission (attachment->bus);
  attachment->hearing = g_signal_connect_data (attachment->bus, "sync-message", G_CALLBACK (hear),
                                               dscore_attachment_ref (attachment), release, 0);
  g_signal_connect_data (pipeline, "element-added", G_CALLBACK (on_element_added), dscore_attachment_ref (attachment), release, 0);
  g_signal_connect_data (pipeline, "element-removed", G_CALLBACK (on_element_removed), dscore_attachment_ref (attachment), release,
                         0);
  if (is_wanted_up (pipeline))
    begin_preroll (attachment);
  return attachment;
}

void
dscore_attachment_detach (DscoreAttachment *attachment)
{
  g_autoptr (GstPipeline) pipeline = dscore_attachment_dup_pipeline (attachment);
  gboolean detached;

  g_mutex_lock (&attachment->lock);
  detached = attachment->detached;
  attachment->detached = TRUE;
  g_cond_broadcast (&attachment->detaching);
  g_mutex_unlock (&attachment->lock);
  if (detached)
    return;
  gst_bus_disable_sync_message_emission (attachment->bus);
  g_signal_handler_disconnect (attachment->bus, attachment->hearing);
  if (pipeline != NULL)
    g_signal_handlers_disconnect_by_data (pipeline, attachment);
}

const char *
dscore_attachment_get_name (DscoreAttachment *attachment)
{
  return attachment->name;
}

gboolean
dscore_attachment_was_named (DscoreAttachment *attachment, const char *name)
{
  return attachment->named && g_strcmp0 (attachment->name, name) == 0;
}

DscoreEnding *
dscore_attachment_get_ending (DscoreAttachment *attachment)
{
  return attachment->ending;
}

DscoreStopReport *
dscore_attachment_stop (DscoreAttachment *attachment, GstPipeline *pipeline, const DscoreStopOptions *options)
{
  return dscore_standstill_reach (&attachment->standstill, pipeline, attachment->ending, options);
}

GstPipeline *
dscore_attachment_dup_pipeline (DscoreAttachment *attachment)
{
  return g_weak_ref_get (&attachment->pipeline);
}

gboolean
dscore_attachment_is_of (DscoreAttachment *attachment, gconstpointer pipeline)
{
  return attachment->address == pipeline;
}
