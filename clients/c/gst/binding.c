/* The pipelines of a program under its agent: bound and let go, stopped when the server asks.
 *
 * The agent's worker begins it, a thread of its own waits for it: the program's main loop may sleep, the worker goes on. */
#include "binding-private.h"
#include "call.h"
#include "group.h"
#include "guard.h"
#include "log.h"

/* Of the hard timeout: for the answer to get out, and for the process to end by itself. The share is that of a short one. */
#define ANSWER_US G_TIME_SPAN_SECOND
#define ANSWER_SHARE 5

struct _DscoreGstBinding {
  GObject parent_instance;

  DscoreAgent *agent;
  DscoreReporter *reporter;
  GMutex lock;
  GPtrArray *attachments;
  int force_exit; /* Atomic. */
};

typedef struct {
  DscoreGstBinding *binding;
  DscoreTermination *termination;
} Ask;

G_DEFINE_TYPE (DscoreGstBinding, dscore_gst_binding, G_TYPE_OBJECT)

static void
release_attachment (gpointer data)
{
  dscore_attachment_detach (data);
  dscore_attachment_unref (data);
}

static GPtrArray *
attachments_new (void)
{
  return g_ptr_array_new_with_free_func (release_attachment);
}

/* Of a short time its share. */
static gint64
answer_us (gint64 hard_timeout)
{
  return MIN (ANSWER_US, hard_timeout / ANSWER_SHARE);
}

static void
tell_progress (const char *stage, gint64 left, gpointer termination)
{
  dscore_termination_progress (termination, stage, (guint) (left / G_TIME_SPAN_MILLISECOND));
}

/* Those that are bound now; a program may build one anew at any moment. */
static GPtrArray *
bound (DscoreGstBinding *self)
{
  GPtrArray *copy = g_ptr_array_new_with_free_func ((GDestroyNotify) dscore_attachment_unref);

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->attachments->len; i++)
    g_ptr_array_add (copy, dscore_attachment_ref (self->attachments->pdata[i]));
  g_mutex_unlock (&self->lock);
  return copy;
}

/* Whether there was any to stop. */
static gboolean
stop_bound (DscoreGstBinding *self, DscoreGroup *group)
{
  g_autoptr (GPtrArray) attachments = bound (self);
  gboolean any = FALSE;

  for (guint i = 0; i < attachments->len; i++)
    any = dscore_group_stop (group, attachments->pdata[i]) || any;
  if (any)
    dscore_group_wait (group);
  return any;
}

static void
answer (DscoreTermination *termination, const DscoreStopReport *report)
{
  const char *message = report->message[0] == '\0' ? NULL : report->message;

  if (report->ok && !report->complete)
    dscore_termination_finish_incomplete (termination, report->message);
  else
    dscore_termination_finish (termination, report->ok, message);
}

static void
terminate (gpointer data, gpointer call)
{
  Ask *ask = data;
  DscoreConfig *config = dscore_agent_get_config (ask->binding->agent);
  gint64 hard_timeout = dscore_config_get_graceful_shutdown_timeout (config);
  gint64 limit = MIN (g_get_monotonic_time () + hard_timeout, dscore_termination_get_deadline (ask->termination));
  DscoreGuard *guard = g_atomic_int_get (&ask->binding->force_exit) ? dscore_guard_arm (limit) : NULL;
  gint64 deadline = limit - answer_us (hard_timeout);
  g_autoptr (DscoreGroup) group =
    dscore_group_new (dscore_config_get_pipeline_stop_timeout (config), deadline, tell_progress, ask->termination);
  g_autoptr (DscoreStopReport) report = NULL;

  /* A program may build one anew for each that is stopped, and go on with it. */
  while (stop_bound (ask->binding, group) && g_get_monotonic_time () < deadline)
    ;
  report = dscore_group_report (group);
  if (guard != NULL && report->ok)
    dscore_guard_disarm (guard);
  else if (guard != NULL)
    dscore_guard_leave_armed (guard);
  answer (ask->termination, report);
}

static void
ask_free (gpointer data)
{
  Ask *ask = data;

  g_object_unref (ask->termination);
  g_object_unref (ask->binding);
  g_free (ask);
}

/* In the agent's worker, which must not wait. */
static void
on_stop (DscoreAgent *agent, DscoreTermination *termination, gpointer data)
{
  DscoreGstBinding *self = g_weak_ref_get (data);
  Ask *ask;

  if (self == NULL) {
    /* As without a function: a handler of the program answers, or there is nothing to stop. */
    if (!g_signal_has_handler_pending (agent, g_signal_lookup ("terminate", DSCORE_TYPE_AGENT), 0, FALSE))
      dscore_termination_finish (termination, TRUE, NULL);
    return;
  }
  ask = g_new0 (Ask, 1);
  ask->binding = self;
  ask->termination = g_object_ref (termination);
  dscore_call_unref (dscore_call_start ("dscore-terminate", terminate, ask, ask_free));
}

static GWeakRef *
weak_ref_new (gpointer object)
{
  GWeakRef *weak = g_new0 (GWeakRef, 1);

  g_weak_ref_init (weak, object);
  return weak;
}

static void
weak_ref_free (gpointer data)
{
  g_weak_ref_clear (data);
  g_free (data);
}

static gboolean
send_report (gpointer data, JsonObject *message)
{
  g_autoptr (DscoreAgent) agent = g_weak_ref_get (data);

  return agent != NULL && dscore_agent_send (agent, message, NULL);
}

static void
dscore_gst_binding_dispose (GObject *object)
{
  DscoreGstBinding *self = DSCORE_GST_BINDING (object);
  GPtrArray *old;

  g_mutex_lock (&self->lock);
  old = g_steal_pointer (&self->attachments);
  self->attachments = attachments_new ();
  g_mutex_unlock (&self->lock);
  g_ptr_array_unref (old);
  G_OBJECT_CLASS (dscore_gst_binding_parent_class)->dispose (object);
}

static void
dscore_gst_binding_finalize (GObject *object)
{
  DscoreGstBinding *self = DSCORE_GST_BINDING (object);

  g_ptr_array_unref (self->attachments);
  /* The agent keeps on_stop(), which finds that there is no binding: its function may be that of another one by now. */
  g_object_unref (self->agent);
  dscore_reporter_unref (self->reporter);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (dscore_gst_binding_parent_class)->finalize (object);
}

static void
dscore_gst_binding_class_init (DscoreGstBindingClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = dscore_gst_binding_dispose;
  G_OBJECT_CLASS (klass)->finalize = dscore_gst_binding_finalize;
}

static void
dscore_gst_binding_init (DscoreGstBinding *self)
{
  g_mutex_init (&self->lock);
  self->attachments = attachments_new ();
  self->force_exit = TRUE;
}

static void
warn_of_times (DscoreConfig *config)
{
  gint64 wanted = dscore_config_get_pipeline_stop_timeout (config);
  gint64 hard = dscore_config_get_graceful_shutdown_timeout (config);
  gint64 in_force = dscore_stop_streams_us (wanted, hard - answer_us (hard));

  g_autofree char *words = g_strdup_printf ("%g", (double) in_force / G_TIME_SPAN_SECOND);

  if (in_force < wanted)
    dscore_log (G_LOG_LEVEL_WARNING, "pipeline_stop_timeout_too_long", "in_force_sec", words, "remedy",
                "graceful_shutdown_timeout_sec must be two seconds more, for the elements and the answer", NULL);
}

/**
 * dscore_gst_binding_new:
 * @agent: An agent, started or not.
 *
 * Binds no pipeline yet; dscore_gst_binding_add() does. The agent's stop function is the binding's from now on, until it is
 * freed: an agent has one binding.
 *
 * Returns: (transfer full): A binding.
 */
DscoreGstBinding *
dscore_gst_binding_new (DscoreAgent *agent)
{
  DscoreGstBinding *self;
  DscoreConfig *config;

  g_return_val_if_fail (DSCORE_IS_AGENT (agent), NULL);
  self = g_object_new (DSCORE_TYPE_GST_BINDING, NULL);
  config = dscore_agent_get_config (agent);
  self->agent = g_object_ref (agent);
  self->reporter =
    dscore_reporter_new (dscore_config_get_pipeline_reports (config), send_report, weak_ref_new (agent), weak_ref_free);
  warn_of_times (config);
  dscore_agent_set_stop_func (agent, on_stop, weak_ref_new (self), weak_ref_free);
  return self;
}

/* Takes out the attachment of a pipeline, that of a name, and those whose pipeline is gone; binds another one, unless it is NULL.
 * All are released without the lock: the last reference to a pipeline may be the one that is taken here to look at it, and much
 * happens when that goes. */
static void
exchange (DscoreGstBinding *self, GstPipeline *pipeline, const char *name, DscoreAttachment *next)
{
  g_autoptr (GPtrArray) taken = attachments_new ();
  g_autoptr (GPtrArray) seen = g_ptr_array_new_with_free_func (gst_object_unref);

  g_mutex_lock (&self->lock);
  for (guint i = self->attachments->len; i > 0; i--) {
    DscoreAttachment *attachment = self->attachments->pdata[i - 1];
    GstPipeline *its = dscore_attachment_dup_pipeline (attachment);

    if (its == NULL || its == pipeline || dscore_attachment_was_named (attachment, name))
      g_ptr_array_add (taken, g_ptr_array_steal_index (self->attachments, i - 1));
    if (its != NULL)
      g_ptr_array_add (seen, its);
  }
  if (next != NULL)
    g_ptr_array_add (self->attachments, next);
  g_mutex_unlock (&self->lock);
}

/**
 * dscore_gst_binding_add:
 * @self: A binding.
 * @pipeline: A pipeline of the program, in any state. It is not kept alive.
 * @name: (nullable): What it is called in the answer; %NULL: the pipeline's own name.
 *
 * Binds a pipeline. A name that is given belongs to one pipeline: a program that has built it anew adds the new one, and the old one
 * is let go. While the agent is being terminated the pipeline is stopped with the others.
 */
void
dscore_gst_binding_add (DscoreGstBinding *self, GstPipeline *pipeline, const char *name)
{
  g_return_if_fail (DSCORE_IS_GST_BINDING (self) && GST_IS_PIPELINE (pipeline));
  exchange (self, pipeline, name, dscore_attachment_new (pipeline, name, self->reporter));
}

DscoreAttachment *
dscore_gst_binding_lookup (DscoreGstBinding *self, GstPipeline *pipeline)
{
  g_autoptr (GPtrArray) attachments = bound (self);

  for (guint i = 0; i < attachments->len; i++)
    if (dscore_attachment_is_of (attachments->pdata[i], pipeline))
      return dscore_attachment_ref (attachments->pdata[i]);
  return NULL;
}

/**
 * dscore_gst_binding_remove:
 * @self: A binding.
 * @pipeline: (not nullable): A pipeline.
 *
 * Lets go of a pipeline, before the program frees it or builds it anew. One that is not bound is left as it is. One that is being
 * stopped is stopped all the same.
 */
void
dscore_gst_binding_remove (DscoreGstBinding *self, GstPipeline *pipeline)
{
  g_return_if_fail (DSCORE_IS_GST_BINDING (self) && pipeline != NULL);
  exchange (self, pipeline, NULL, NULL);
}

/**
 * dscore_gst_binding_set_force_exit:
 * @self: A binding.
 * @force_exit: End the process at the end of `graceful_shutdown_timeout_sec` where a pipeline hangs; it is the default.
 *
 * A process cannot end by itself while an element hangs: exit() and gst_deinit() wait for it. Set it before the agent is started.
 */
void
dscore_gst_binding_set_force_exit (DscoreGstBinding *self, gboolean force_exit)
{
  g_return_if_fail (DSCORE_IS_GST_BINDING (self));
  g_atomic_int_set (&self->force_exit, force_exit);
}
