/* The worker's thread. */
#include "worker.h"

typedef struct {
  DscoreWorker *worker;
  DscoreWorkerFunc begin, end;
  gpointer owner;
} Life;

void
dscore_worker_init (DscoreWorker *self)
{
  self->context = g_main_context_new ();
  self->loop = g_main_loop_new (self->context, FALSE);
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
}

void
dscore_worker_clear (DscoreWorker *self)
{
  g_main_loop_unref (self->loop);
  g_main_context_unref (self->context);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->changed);
}

static gpointer
live (gpointer data)
{
  g_autofree Life *life = data;
  DscoreWorker *self = life->worker;
  g_main_context_push_thread_default (self->context);
  life->begin (life->owner);
  g_main_loop_run (self->loop);
  g_main_context_pop_thread_default (self->context);
  life->end (life->owner);
  return NULL;
}

gboolean
dscore_worker_start (DscoreWorker *self, DscoreWorkerFunc begin, DscoreWorkerFunc end, gpointer owner, GError **error)
{
  Life *life = g_new (Life, 1);
  *life = (Life){ self, begin, end, owner };
  g_mutex_lock (&self->lock);
  self->thread = g_thread_try_new ("dscore-agent", live, life, error);
  gboolean started = self->thread != NULL;
  g_mutex_unlock (&self->lock);
  if (!started)
    g_free (life);
  return started;
}

gboolean
dscore_worker_is_current (DscoreWorker *self)
{
  return g_main_context_is_owner (self->context);
}

void
dscore_worker_post (DscoreWorker *self, GSourceFunc func, gpointer data, GDestroyNotify destroy)
{
  GSource *source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, data, destroy);
  g_mutex_lock (&self->lock);
  if (!self->is_over)
    g_source_attach (source, self->context);
  g_mutex_unlock (&self->lock);
  g_source_unref (source); /* one that was not attached drops its data here */
}

void
dscore_worker_end (DscoreWorker *self)
{
  g_mutex_lock (&self->lock);
  self->is_over = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  /* What runs in GIO comes back cancelled, and lets go of its references, too. */
  while (g_main_context_iteration (self->context, FALSE))
    continue;
}

gboolean
dscore_worker_wait (DscoreWorker *self, gint64 deadline)
{
  GThread *thread = NULL;
  g_mutex_lock (&self->lock);
  while (!self->is_over)
    {
      if (deadline < 0)
        g_cond_wait (&self->changed, &self->lock);
      else if (!g_cond_wait_until (&self->changed, &self->lock, deadline))
        break;
    }
  gboolean is_over = self->is_over;
  if (is_over)
    thread = g_steal_pointer (&self->thread);
  g_mutex_unlock (&self->lock);
  if (thread != NULL)
    g_thread_join (thread);
  return is_over;
}

void
dscore_worker_detach (DscoreWorker *self)
{
  g_mutex_lock (&self->lock);
  GThread *thread = g_steal_pointer (&self->thread);
  g_mutex_unlock (&self->lock);
  if (thread != NULL)
    g_thread_unref (thread);
}
