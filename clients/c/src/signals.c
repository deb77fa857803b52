/* Signals of the process, where the program wants them handled: SIGTERM alone would lose recordings. */
#include "signals.h"

#include "log.h"
#include "statelog.h"

#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

#define SAME_CTRL_C_US (300 * 1000) /* a terminal and its parent may both pass one on */
#define INTERRUPTED 130

static gboolean
on_terminate (gpointer data)
{
  DscoreSignals *self = data;
  self->sink->stop (self->owner, "SIGTERM");
  return G_SOURCE_CONTINUE;
}

static gboolean
on_interrupt (gpointer data)
{
  DscoreSignals *self = data;
  gint64 now = g_get_monotonic_time ();
  if (self->interrupted_at == 0)
    self->sink->stop (self->owner, "SIGINT");
  else if (now - self->interrupted_at >= SAME_CTRL_C_US)
    {
      dscore_log (G_LOG_LEVEL_WARNING, "interrupted", NULL);
      _exit (INTERRUPTED);
    }
  self->interrupted_at = now;
  return G_SOURCE_CONTINUE;
}

static gboolean
on_user (gpointer data)
{
  DscoreSignals *self = data;
  g_autoptr (DscoreStatus) status = self->sink->dup_status (self->owner);
  dscore_state_log (status, G_LOG_LEVEL_INFO);
  return G_SOURCE_CONTINUE;
}

void
dscore_signals_watch (DscoreSignals *self, GMainContext *context, const DscoreSignalsSink *sink, gpointer owner)
{
  static const struct { int number; GSourceFunc func; } handled[] = { { SIGTERM, on_terminate }, { SIGINT, on_interrupt }, { SIGUSR1, on_user } };
  self->sink = sink;
  self->owner = owner;
  for (gsize i = 0; i < G_N_ELEMENTS (handled); i++)
    {
      if (self->sources[i] != NULL)
        continue;
      self->sources[i] = g_unix_signal_source_new (handled[i].number);
      g_source_set_callback (self->sources[i], handled[i].func, self, NULL);
      g_source_attach (self->sources[i], context);
    }
}

void
dscore_signals_drop (DscoreSignals *self)
{
  for (gsize i = 0; i < G_N_ELEMENTS (self->sources); i++)
    {
      if (self->sources[i] == NULL)
        continue;
      g_source_destroy (self->sources[i]);
      g_source_unref (self->sources[i]);
      self->sources[i] = NULL;
    }
}
