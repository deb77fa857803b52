#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A thread with a loop of its own, and calls into it from any other. */
typedef struct {
  GMainContext *context;
  GMainLoop *loop;
  GMutex lock;
  GCond changed;
  GThread *thread; /* NULL: not started, or joined, or let go */
  gboolean is_over;
} DscoreWorker;

typedef void (*DscoreWorkerFunc) (gpointer owner);

void dscore_worker_init (DscoreWorker *self);
void dscore_worker_clear (DscoreWorker *self);
/* Calls `begin` in the new thread, turns the loop until it is quit, then calls `end`; with that it is over. */
gboolean dscore_worker_start (DscoreWorker *self, DscoreWorkerFunc begin, DscoreWorkerFunc end, gpointer owner, GError **error);
gboolean dscore_worker_is_current (DscoreWorker *self);
/* Has a function called in the thread, later; also where it never starts, then at the end of all. */
void dscore_worker_post (DscoreWorker *self, GSourceFunc func, gpointer data, GDestroyNotify destroy);
/* Takes no more calls, and lets those that wait come, that they free what they hold. Of the thread at its end, or where there is
 * none. */
void dscore_worker_end (DscoreWorker *self);
/* Until `deadline` of the monotonic clock, negative: without end. TRUE: it is over, and the thread is joined. */
gboolean dscore_worker_wait (DscoreWorker *self, gint64 deadline);
/* Lets go of a thread that still runs; it frees itself. */
void dscore_worker_detach (DscoreWorker *self);

G_END_DECLS
