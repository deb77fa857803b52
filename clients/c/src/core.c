/* The agent's record: made, held by many, and looked at from any thread. */
#include "core-private.h"

#include <unistd.h>

DscoreCore *
dscore_core_new (DscoreConfig *config, DscoreEmitter *emitter)
{
  DscoreCore *self = g_new0 (DscoreCore, 1);
  (void) DSCORE_ERROR; /* made now: a forked child names it without GLib's lock of names */
  g_atomic_ref_count_init (&self->refs);
  self->config = g_object_ref (config);
  self->emitter = dscore_emitter_ref (emitter);
  dscore_outbox_init (&self->outbox, config->outbox_limit);
  dscore_worker_init (&self->worker);
  g_mutex_init (&self->lock);
  self->status.retry_in_us = -1;
  self->status.last_close_reason = g_strdup ("");
  self->exit_code = DSCORE_CORE_UNKNOWN_EXIT;
  self->farewell = g_strdup ("agent stopped");
  return self;
}

static void
stop_hook_clear (gpointer data)
{
  DscoreStopHook *hook = data;
  if (hook->destroy != NULL)
    hook->destroy (hook->data);
}

void
dscore_stop_hook_unref (DscoreStopHook *hook)
{
  g_atomic_rc_box_release_full (hook, stop_hook_clear);
}

DscoreCore *
dscore_core_ref (DscoreCore *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
dscore_core_unref (DscoreCore *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_clear_pointer (&self->stop, dscore_stop_hook_unref);
  dscore_credentials_unref (self->credentials);
  dscore_worker_clear (&self->worker);
  dscore_outbox_clear (&self->outbox);
  dscore_requests_clear (&self->requests);
  dscore_emitter_unref (self->emitter);
  g_object_unref (self->config);
  g_mutex_clear (&self->lock);
  g_free (self->status.last_close_reason);
  g_free (self->farewell);
  g_free (self);
}

gpointer
dscore_core_ref_data (gpointer self)
{
  return dscore_core_ref (self);
}

void
dscore_core_unref_data (gpointer self)
{
  dscore_core_unref (self);
}

/* A child has the memory of its parent and none of its threads: a lock that another thread held at the fork, one of GLib's types for
 * instance, is never released there. Each call asks this before it takes any. A program that forks first (a daemon) starts its agent after. */
gboolean
dscore_core_is_forked (const DscoreCore *self, GError **error)
{
  int process = g_atomic_int_get (&self->process);
  if (process == 0 || process == getpid ())
    return FALSE;
  g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_CLOSED, "the agent is its parent's: this process was forked");
  return TRUE;
}

DscoreStatus *
dscore_core_dup_status (DscoreCore *self)
{
  static const DscoreStatus none = { .state = DSCORE_STATE_CLOSED, .retry_in_us = -1, .last_close_reason = (char *) "" };
  if (dscore_core_is_forked (self, NULL))
    return dscore_status_copy (&none);
  g_mutex_lock (&self->lock);
  DscoreStatus *status = dscore_status_copy (&self->status);
  g_mutex_unlock (&self->lock);
  dscore_outbox_count (&self->outbox, &status->queued, &status->dropped);
  return status;
}

DscoreConfig *
dscore_core_config (DscoreCore *self)
{
  return self->config;
}
