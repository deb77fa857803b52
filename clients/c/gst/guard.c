/* The exit that nothing holds up: no loop, no log, no lock, no pipe that is full.
 *
 * gst_deinit() and exit() wait for an element that hangs; _exit() does not. */
#include "guard.h"

#include "call.h"

#include <dscore.h>
#include <unistd.h>

#define WORDS "dscore agent: the pipeline hangs, leaving by force\n"
/* For the last words to get out, where standard error is read at all. */
#define WRITE_US (200 * G_TIME_SPAN_MILLISECOND)

struct _DscoreGuard {
  GMutex lock;
  GCond disarming;
  gboolean disarmed;
  gint64 moment;
};

static void
say (gpointer data, gpointer call)
{
  G_GNUC_UNUSED gssize written = write (STDERR_FILENO, WORDS, sizeof WORDS - 1);
}

static void
leave_by_force (void)
{
  /* A pipe that is read by no process blocks its writer for good: that is not to be this thread. */
  DscoreCall *saying = dscore_call_start ("dscore-words", say, NULL, NULL);

  dscore_call_wait (saying, g_get_monotonic_time () + WRITE_US);
  _exit (DSCORE_EXIT_FORCED);
}

static void
watch (gpointer data, gpointer call)
{
  DscoreGuard *guard = data;
  gboolean disarmed;

  g_mutex_lock (&guard->lock);
  while (!guard->disarmed && g_get_monotonic_time () < guard->moment)
    g_cond_wait_until (&guard->disarming, &guard->lock, guard->moment);
  disarmed = guard->disarmed;
  g_mutex_unlock (&guard->lock);
  if (!disarmed)
    leave_by_force ();
}

static void
clear (gpointer data)
{
  DscoreGuard *guard = data;

  g_cond_clear (&guard->disarming);
  g_mutex_clear (&guard->lock);
}

static void
release (gpointer guard)
{
  g_atomic_rc_box_release_full (guard, clear);
}

DscoreGuard *
dscore_guard_arm (gint64 moment)
{
  DscoreGuard *guard = g_atomic_rc_box_new0 (DscoreGuard);

  g_mutex_init (&guard->lock);
  g_cond_init (&guard->disarming);
  guard->moment = moment;
  dscore_call_unref (dscore_call_start ("dscore-guard", watch, g_atomic_rc_box_acquire (guard), release));
  return guard;
}

void
dscore_guard_disarm (DscoreGuard *guard)
{
  g_mutex_lock (&guard->lock);
  guard->disarmed = TRUE;
  g_cond_signal (&guard->disarming);
  g_mutex_unlock (&guard->lock);
  release (guard);
}

void
dscore_guard_leave_armed (DscoreGuard *guard)
{
  release (guard);
}
