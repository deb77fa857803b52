/* A call that may hang, in a thread of its own: what waits for it has a bound.
 *
 * GStreamer gives no call a time limit. A thread that never returns keeps its own reference and nothing else; the process
 * ends without it (guard.c). */
#include "call.h"

#include "log.h"

struct _DscoreCall {
  GMutex lock;
  GCond returned;
  gboolean done;
  gboolean missing; /* No thread could be made. */
  int abandoned; /* Atomic. */
  GFunc func;
  gpointer data;
  GDestroyNotify destroy;
};

static gpointer
run (gpointer data)
{
  DscoreCall *call = data;

  call->func (call->data, call);
  g_mutex_lock (&call->lock);
  call->done = TRUE;
  g_cond_broadcast (&call->returned);
  g_mutex_unlock (&call->lock);
  dscore_call_unref (call);
  return NULL;
}

DscoreCall *
dscore_call_start (const char *name, GFunc func, gpointer data, GDestroyNotify destroy)
{
  DscoreCall *call = g_atomic_rc_box_new0 (DscoreCall);
  g_autoptr (GError) error = NULL;
  GThread *thread;

  g_mutex_init (&call->lock);
  g_cond_init (&call->returned);
  call->func = func;
  call->data = data;
  call->destroy = destroy;
  thread = g_thread_try_new (name, run, dscore_call_ref (call), &error);
  if (thread != NULL) {
    g_thread_unref (thread);
  } else {
    /* Never done: to a caller with a bound it is a call that hangs, which it has an answer to. */
    call->missing = TRUE;
    dscore_log (G_LOG_LEVEL_WARNING, "no_thread", "call", name, "cause", error->message, NULL);
    dscore_call_unref (call);
  }
  return call;
}

DscoreCall *
dscore_call_ref (DscoreCall *call)
{
  return g_atomic_rc_box_acquire (call);
}

static void
clear (gpointer data)
{
  DscoreCall *call = data;

  if (call->destroy != NULL)
    call->destroy (call->data);
  g_cond_clear (&call->returned);
  g_mutex_clear (&call->lock);
}

void
dscore_call_unref (DscoreCall *call)
{
  g_atomic_rc_box_release_full (call, clear);
}

gboolean
dscore_call_join (DscoreCall *call)
{
  if (call->missing)
    return FALSE;
  g_mutex_lock (&call->lock);
  while (!call->done)
    g_cond_wait (&call->returned, &call->lock);
  g_mutex_unlock (&call->lock);
  return TRUE;
}

gboolean
dscore_call_has_begun (DscoreCall *call)
{
  return !call->missing;
}

gboolean
dscore_call_is_done (DscoreCall *call)
{
  return dscore_call_wait (call, 0);
}

gboolean
dscore_call_wait (DscoreCall *call, gint64 deadline)
{
  gboolean done;

  g_mutex_lock (&call->lock);
  while (!call->done && g_get_monotonic_time () < deadline)
    g_cond_wait_until (&call->returned, &call->lock, deadline);
  done = call->done;
  g_mutex_unlock (&call->lock);
  return done;
}

void
dscore_call_abandon (DscoreCall *call)
{
  g_atomic_int_set (&call->abandoned, 1);
}

gboolean
dscore_call_is_abandoned (DscoreCall *call)
{
  return g_atomic_int_get (&call->abandoned);
}
