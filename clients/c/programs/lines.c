/* The program's log. */
#include "lines.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static const char *
word_for (GLogLevelFlags level)
{
  if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
    return "error";
  if (level & G_LOG_LEVEL_WARNING)
    return "warning";
  return level & G_LOG_LEVEL_DEBUG ? "debug" : "info";
}

static void
write_line (const char *domain, GLogLevelFlags level, const char *message, gpointer least)
{
  struct pollfd error = { .fd = STDERR_FILENO, .events = POLLOUT };
  /* Of other libraries only what is wrong with them. */
  if (g_strcmp0 (domain, "dscore") != 0)
    least = GUINT_TO_POINTER (MIN (GPOINTER_TO_UINT (least), G_LOG_LEVEL_WARNING));
  if ((level & G_LOG_LEVEL_MASK) > (GLogLevelFlags) GPOINTER_TO_UINT (least))
    return;
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *seconds = g_date_time_format (now, "%Y-%m-%dT%H:%M:%S");
  g_autofree char *line = g_strdup_printf ("%s.%03dZ %-7s %s\n", seconds, g_date_time_get_microsecond (now) / 1000, word_for (level), message);
  /* One write a line: lines of several threads do not mix. */
  if (poll (&error, 1, 0) > 0 && (error.revents & POLLOUT) != 0 && write (STDERR_FILENO, line, strlen (line)) < 0)
    return; /* there is no other place to say so */
}

gboolean
lines_install (const char *level)
{
  static const struct { const char *word; guint least; } levels[] = { { "debug", G_LOG_LEVEL_DEBUG },
                                                                      { "info", G_LOG_LEVEL_INFO },
                                                                      { "warning", G_LOG_LEVEL_WARNING },
                                                                      { "error", G_LOG_LEVEL_CRITICAL } };
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (strcmp (levels[i].word, level) == 0)
      {
        g_log_set_default_handler (write_line, GUINT_TO_POINTER (levels[i].least));
        return TRUE;
      }
  return FALSE;
}
