/* The agent's calls from any thread. What they ask for happens in the worker (life.c). */
#include "labels.h"
#include "life.h"
#include "log.h"

#include <unistd.h>

static void
post (DscoreCore *self, GSourceFunc func)
{
  dscore_worker_post (&self->worker, func, dscore_core_ref (self), dscore_core_unref_data);
}

static void
warn_of_labels (DscoreConfig *config)
{
  g_autoptr (GPtrArray) faults = dscore_labels_faults (config->app_config);
  for (guint i = 0; i < faults->len; i++)
    {
      g_autofree char *reason = g_strconcat ("app_config: ", faults->pdata[i], NULL);
      dscore_log (G_LOG_LEVEL_WARNING, "label_left_out", "reason", reason, NULL);
    }
}

static void
log_start (DscoreConfig *config)
{
  g_autofree char *pid = g_strdup_printf ("%d", (int) getpid ());
  dscore_log (G_LOG_LEVEL_INFO, "agent_started", "agent_id", config->instance_id, "url", config->url, "pid", pid, NULL);
}

static gboolean
begin (DscoreCore *self, GError **error)
{
  if (self->config->is_secure && !g_tls_backend_supports_tls (g_tls_backend_get_default ()))
    {
      g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_TLS, "GIO has no TLS for wss://: install glib-networking");
      return FALSE;
    }
  dscore_credentials_unref (self->credentials); /* of a start that failed */
  self->credentials = dscore_credentials_read (self->config, error);
  if (self->credentials == NULL)
    return FALSE;
  warn_of_labels (self->config);
  /* Before the worker says what became of it. */
  log_start (self->config);
  if (dscore_worker_start (&self->worker, dscore_life_begin, dscore_life_end, dscore_core_ref (self), error))
    return TRUE;
  (void) g_atomic_ref_count_dec (&self->refs); /* never the last one: the caller has its own */
  return FALSE;
}

/* With the lock held. */
static void
never_start (DscoreCore *self)
{
  self->is_started = TRUE;
  self->status.state = DSCORE_STATE_CLOSED;
  self->exit_code = DSCORE_EXIT_STOPPED;
}

/* It has failed, and may be tried again; a close that came meanwhile waits for it. */
static void
end_start (DscoreCore *self)
{
  g_mutex_lock (&self->lock);
  gboolean is_closed = self->is_closed;
  self->is_started = self->is_terminating = FALSE;
  if (is_closed)
    never_start (self);
  g_mutex_unlock (&self->lock);
  if (is_closed)
    dscore_worker_end (&self->worker);
}

gboolean
dscore_core_start (DscoreCore *self, GError **error)
{
  if (dscore_core_is_forked (self, error))
    return FALSE;
  g_mutex_lock (&self->lock);
  gboolean was_started = self->is_started;
  self->is_started = TRUE;
  g_atomic_int_set (&self->process, getpid ());
  g_mutex_unlock (&self->lock);
  if (was_started)
    {
      g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_STARTED, "an agent starts only once");
      return FALSE;
    }
  if (begin (self, error))
    return TRUE;
  end_start (self);
  return FALSE;
}

void
dscore_core_set_stop_func (DscoreCore *self, DscoreStopFunc func, gpointer data, GDestroyNotify destroy)
{
  if (dscore_core_is_forked (self, NULL))
    return;
  DscoreStopHook *hook = func == NULL ? NULL : g_atomic_rc_box_new0 (DscoreStopHook);
  if (hook != NULL)
    *hook = (DscoreStopHook){ func, data, destroy };
  g_mutex_lock (&self->lock);
  DscoreStopHook *former = self->stop;
  self->stop = hook;
  g_mutex_unlock (&self->lock);
  if (former != NULL)
    dscore_stop_hook_unref (former);
  if (hook == NULL && destroy != NULL)
    destroy (data);
}

gboolean
dscore_core_send (DscoreCore *self, GBytes *text, const char *type, GError **error)
{
  if (g_bytes_get_size (text) > self->config->max_message_size)
    {
      g_set_error (error, DSCORE_ERROR, DSCORE_ERROR_TOO_BIG, "a message has at most %u bytes", self->config->max_message_size);
      return FALSE;
    }
  switch (dscore_outbox_put (&self->outbox, text, dscore_type_is_control (type)))
    {
    case DSCORE_OUTBOX_REFUSED:
      g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_REFUSED, "new work is refused: the server or the application is stopping");
      return FALSE;
    case DSCORE_OUTBOX_CLOSED:
      g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_CLOSED, "the agent is over");
      return FALSE;
    case DSCORE_OUTBOX_TAKEN:
    default:
      post (self, dscore_life_flush);
      return TRUE;
    }
}

typedef struct {
  DscoreCore *core;
  char *reason;
} Stop;

static void
stop_free (gpointer data)
{
  Stop *stop = data;
  dscore_core_unref (stop->core);
  g_free (stop->reason);
  g_free (stop);
}

static gboolean
stop_in_worker (gpointer data)
{
  Stop *stop = data;
  if (stop->core->link != NULL)
    dscore_life_terminate (stop->core, NULL, stop->reason);
  return G_SOURCE_REMOVE;
}

static void
set_farewell (DscoreCore *self, char *farewell)
{
  g_mutex_lock (&self->lock);
  g_free (self->farewell);
  self->farewell = farewell;
  g_mutex_unlock (&self->lock);
}

void
dscore_core_stop (DscoreCore *self, const char *reason)
{
  if (dscore_core_is_forked (self, NULL))
    return;
  Stop *stop = g_new (Stop, 1);
  stop->core = dscore_core_ref (self);
  stop->reason = g_utf8_make_valid (reason, -1);
  set_farewell (self, g_strconcat ("stopped: ", stop->reason, NULL));
  /* A close that follows at once has it to wait for, before the worker has heard of it. */
  g_mutex_lock (&self->lock);
  self->is_terminating = self->is_terminating || self->is_started;
  g_mutex_unlock (&self->lock);
  dscore_worker_post (&self->worker, stop_in_worker, stop, stop_free);
}

int
dscore_core_close (DscoreCore *self, gint64 timeout_us, const char *farewell)
{
  if (dscore_core_is_forked (self, NULL))
    return DSCORE_CORE_UNKNOWN_EXIT;
  gint64 until = timeout_us < 0 ? -1 : g_get_monotonic_time () + timeout_us;
  gboolean is_worker = dscore_worker_is_current (&self->worker);
  g_mutex_lock (&self->lock);
  gboolean is_terminating = self->is_terminating, is_started = self->is_started;
  self->is_closed = TRUE;
  if (!is_started)
    never_start (self);
  g_mutex_unlock (&self->lock);
  if (!is_started)
    dscore_worker_end (&self->worker);
  if (farewell != NULL)
    set_farewell (self, g_utf8_make_valid (farewell, -1));
  dscore_outbox_close (&self->outbox);
  /* A main loop often ends at the end of the stream, which is in the middle of stopping. */
  if (is_started && is_terminating && !is_worker)
    dscore_worker_wait (&self->worker, until);
  if (is_started)
    post (self, dscore_life_close);
  if (is_worker || !dscore_worker_wait (&self->worker, until))
    return DSCORE_CORE_UNKNOWN_EXIT;
  g_mutex_lock (&self->lock);
  int code = self->exit_code;
  g_mutex_unlock (&self->lock);
  return code;
}

static void
on_stop_signal (gpointer core, const char *name)
{
  dscore_core_stop (core, name);
}

static DscoreStatus *
on_state_signal (gpointer core)
{
  return dscore_core_dup_status (core);
}

static gboolean
watch_in_worker (gpointer data)
{
  static const DscoreSignalsSink sink = { on_stop_signal, on_state_signal };
  DscoreCore *self = data;
  if (self->link != NULL)
    dscore_signals_watch (&self->signals, self->worker.context, &sink, self);
  return G_SOURCE_REMOVE;
}

void
dscore_core_watch_signals (DscoreCore *self)
{
  if (!dscore_core_is_forked (self, NULL))
    post (self, watch_in_worker);
}

void
dscore_core_detach (DscoreCore *self)
{
  if (!dscore_core_is_forked (self, NULL))
    dscore_worker_detach (&self->worker);
}
