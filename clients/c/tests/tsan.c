/* What ThreadSanitizer must know of GLib, which the distribution builds without it: its locks are futexes, its references atomics.
 *
 * Linked into a test program, these functions come before GLib's own for every library of the process, GStreamer's included. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>

/* GLib's own function of the same name, looked up once. */
#define REAL(name) \
  static __typeof__ (&name) found; \
  __typeof__ (&name) real = __atomic_load_n (&found, __ATOMIC_ACQUIRE); \
  if (real == NULL) { \
    real = (__typeof__ (&name)) dlsym (RTLD_NEXT, #name); \
    __atomic_store_n (&found, real, __ATOMIC_RELEASE); \
  }

void
g_mutex_lock (GMutex *mutex)
{
  REAL (g_mutex_lock);
  real (mutex);
  __tsan_acquire (mutex);
}

gboolean
g_mutex_trylock (GMutex *mutex)
{
  REAL (g_mutex_trylock);
  gboolean locked = real (mutex);
  if (locked)
    __tsan_acquire (mutex);
  return locked;
}

void
g_mutex_unlock (GMutex *mutex)
{
  REAL (g_mutex_unlock);
  __tsan_release (mutex);
  real (mutex);
}

void
g_rec_mutex_lock (GRecMutex *mutex)
{
  REAL (g_rec_mutex_lock);
  real (mutex);
  __tsan_acquire (mutex);
}

gboolean
g_rec_mutex_trylock (GRecMutex *mutex)
{
  REAL (g_rec_mutex_trylock);
  gboolean locked = real (mutex);
  if (locked)
    __tsan_acquire (mutex);
  return locked;
}

void
g_rec_mutex_unlock (GRecMutex *mutex)
{
  REAL (g_rec_mutex_unlock);
  __tsan_release (mutex);
  real (mutex);
}

void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  REAL (g_cond_wait);
  __tsan_release (mutex);
  real (cond, mutex);
  __tsan_acquire (mutex);
}

gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end_time)
{
  REAL (g_cond_wait_until);
  __tsan_release (mutex);
  gboolean woken = real (cond, mutex, end_time);
  __tsan_acquire (mutex);
  return woken;
}

typedef struct {
  GThreadFunc func;
  gpointer data;
} Start;

static gpointer
run (gpointer data)
{
  Start start = *(Start *) data;
  __tsan_acquire (data);
  g_free (data);
  return start.func (start.data);
}

static Start *
start_new (GThreadFunc func, gpointer data)
{
  Start *start = g_new (Start, 1);
  *start = (Start) { func, data };
  __tsan_release (start);
  return start;
}

GThread *
g_thread_new (const char *name, GThreadFunc func, gpointer data)
{
  REAL (g_thread_new);
  return real (name, run, start_new (func, data));
}

GThread *
g_thread_try_new (const char *name, GThreadFunc func, gpointer data, GError **error)
{
  REAL (g_thread_try_new);
  return real (name, run, start_new (func, data), error);
}

gpointer
g_thread_join (GThread *thread)
{
  REAL (g_thread_join);
  gpointer result = real (thread);
  __tsan_acquire (thread);
  return result;
}

static __thread GDestroyNotify clearing;

static void
clear (gpointer box)
{
  GDestroyNotify func = clearing;
  __tsan_acquire (box);
  if (func != NULL)
    func (box);
}

void
g_atomic_rc_box_release_full (gpointer box, GDestroyNotify func)
{
  REAL (g_atomic_rc_box_release_full);
  clearing = func;
  __tsan_release (box);
  real (box, clear);
}

void
g_atomic_rc_box_release (gpointer box)
{
  g_atomic_rc_box_release_full (box, NULL);
}
