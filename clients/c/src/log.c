/* Events with stable names over g_log, domain "dscore": the host program decides where they go.
 *
 * A pipe that is read by no process fills up, and then holds every writer for good: the agent, and whatever it stops, must not be
 * among them, so lines that standard error has no room for are left out. */
#include "log.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_VALUE 500 /* bytes: some come from the network */
#define LIMIT_LINES 50u
#define LIMIT_US (10 * G_USEC_PER_SEC)

static gboolean
has_room (void)
{
  struct stat about;
  struct pollfd error = { .fd = STDERR_FILENO, .events = POLLOUT };
  if (fstat (STDERR_FILENO, &about) != 0 || !(S_ISFIFO (about.st_mode) || S_ISSOCK (about.st_mode)))
    return TRUE;
  return poll (&error, 1, 0) > 0 && (error.revents & POLLOUT) != 0;
}

void
dscore_log_line (GLogLevelFlags level, const char *line)
{
  if (has_room ())
    g_log (G_LOG_DOMAIN, level, "%s", line);
}

/* Nothing in a value may break a line, move a cursor or pass for another field. */
static void
append_value (GString *line, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, (gssize) MIN (strlen (value), MAX_VALUE));
  gboolean plain = *valid != '\0';
  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at))
    plain &= g_unichar_isprint (g_utf8_get_char (at)) && strchr (" =\"'", *at) == NULL;
  if (plain)
    {
      g_string_append (line, valid);
      return;
    }
  g_string_append_c (line, '\'');
  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);
      if (c == '\'' || c == '\\')
        g_string_append_printf (line, "\\%c", (char) c);
      else if (g_unichar_isprint (c))
        g_string_append_unichar (line, c);
      else
        g_string_append_printf (line, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
    }
  g_string_append_c (line, '\'');
}

void
dscore_log (GLogLevelFlags level, const char *event, ...)
{
  g_autoptr (GString) line = g_string_new (event);
  va_list pairs;
  va_start (pairs, event);
  for (const char *name = va_arg (pairs, const char *); name != NULL; name = va_arg (pairs, const char *))
    {
      const char *value = va_arg (pairs, const char *);
      g_string_append_printf (line, " %s=", name);
      append_value (line, value != NULL ? value : "none");
    }
  va_end (pairs);
  dscore_log_line (level, line->str);
}

gboolean
dscore_log_counts (DscoreLogLimit *self, guint *left_out)
{
  gint64 now = g_get_monotonic_time ();
  *left_out = 0;
  if (now - self->since >= LIMIT_US)
    {
      *left_out = self->lines - MIN (self->lines, LIMIT_LINES);
      self->since = now;
      self->lines = 0;
    }
  if (self->lines < G_MAXUINT)
    self->lines++;
  return self->lines <= LIMIT_LINES;
}

void
dscore_log_left_out (guint count, const char *reason)
{
  g_autofree char *digits = g_strdup_printf ("%u", count);
  if (count > 0)
    dscore_log (G_LOG_LEVEL_WARNING, "lines_left_out", "count", digits, "reason", reason, NULL);
}

gboolean
dscore_log_allows (DscoreLogLimit *self)
{
  guint left_out;
  gboolean allows = dscore_log_counts (self, &left_out);
  dscore_log_left_out (left_out, "the server causes too many");
  return allows;
}
