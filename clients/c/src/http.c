/* The head of an HTTP response (RFC 9112 §4, §5), as far as an agent cares. Bytes in, fields out. */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the empty line ends, or NULL. */
static const char *
end_of_head (const char *data, gsize size)
{
  for (const char *at = data, *end = data + size; (at = memchr (at, '\n', (gsize) (end - at))) != NULL; at++)
    {
      if (end - at >= 2 && at[1] == '\n')
        return at + 2;
      if (end - at >= 3 && at[1] == '\r' && at[2] == '\n')
        return at + 3;
    }
  return NULL;
}

static gboolean
read_status (const char *line, guint *status)
{
  /* HTTP/1.1 SP 3DIGIT, and words that may be left out. */
  if (strncmp (line, "HTTP/1.", 7) != 0 || !g_ascii_isdigit (line[7]) || line[8] != ' ')
    return FALSE;
  for (int i = 9; i < 12; i++)
    if (!g_ascii_isdigit (line[i]))
      return FALSE;
  if (line[12] != '\0' && line[12] != ' ')
    return FALSE;
  *status = (guint) atoi (line + 9);
  return *status >= 100;
}

static gboolean
is_token (const char *name)
{
  for (const char *at = name; *at != '\0'; at++)
    if (!g_ascii_isalnum (*at) && strchr ("!#$%&'*+-.^_`|~", *at) == NULL)
      return FALSE;
  return *name != '\0';
}

static gboolean
read_field (DscoreHead *self, char *line)
{
  char *colon = strchr (line, ':');
  if (colon == NULL)
    return FALSE;
  *colon = '\0';
  if (!is_token (line))
    return FALSE;
  g_autofree char *name = g_ascii_strdown (line, -1);
  const char *value = g_strstrip (colon + 1);
  const char *former = g_hash_table_lookup (self->fields, name);
  char *joined = former == NULL ? g_strdup (value) : g_strconcat (former, ", ", value, NULL);
  g_hash_table_insert (self->fields, g_steal_pointer (&name), joined);
  return TRUE;
}

static const char *
read_lines (DscoreHead *self, char **lines)
{
  if (lines[0] == NULL || !read_status (g_strchomp (lines[0]), &self->status))
    return "the answer is no HTTP";
  for (char **line = lines + 1; *line != NULL && *g_strchomp (*line) != '\0'; line++)
    if (!read_field (self, *line))
      return "the answer has a broken header field";
  return NULL;
}

DscoreHead *
dscore_head_read (const char *data, gsize size, gsize *used, const char **fault)
{
  const char *end = end_of_head (data, size);
  *fault = NULL;
  *used = 0;
  if (end == NULL)
    {
      if (size > DSCORE_MAX_RESPONSE_HEAD)
        *fault = "the head of the answer is too long";
      return NULL;
    }
  *used = (gsize) (end - data);
  if (*used > DSCORE_MAX_RESPONSE_HEAD || memchr (data, '\0', *used) != NULL)
    {
      *fault = "the head of the answer cannot be read";
      return NULL;
    }
  g_autofree char *text = g_strndup (data, *used);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  DscoreHead *self = g_new0 (DscoreHead, 1);
  self->fields = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  *fault = read_lines (self, lines);
  if (*fault == NULL)
    return self;
  dscore_head_free (self);
  return NULL;
}

void
dscore_head_free (DscoreHead *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->fields);
  g_free (self);
}

const char *
dscore_head_get (const DscoreHead *self, const char *name)
{
  return g_hash_table_lookup (self->fields, name);
}

gboolean
dscore_head_has_word (const DscoreHead *self, const char *name, const char *word)
{
  const char *value = dscore_head_get (self, name);
  if (value == NULL)
    return FALSE;
  g_auto (GStrv) words = g_strsplit (value, ",", -1);
  for (char **one = words; *one != NULL; one++)
    if (g_ascii_strcasecmp (g_strstrip (*one), word) == 0)
      return TRUE;
  return FALSE;
}

/* Seconds since the epoch of an IMF-fixdate (RFC 9110 §5.6.7), or -1. */
static gint64
read_date (const char *text)
{
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  int day, year, hour, minute, second;
  char month[4];
  if (text == NULL || sscanf (text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT", &day, month, &year, &hour, &minute, &second) != 6)
    return -1;
  const char *found = strlen (month) == 3 ? strstr (months, month) : NULL;
  if (found == NULL || (found - months) % 3 != 0)
    return -1;
  g_autoptr (GDateTime) date = g_date_time_new_utc (year, (int) (found - months) / 3 + 1, day, hour, minute, MIN (second, 59));
  return date == NULL ? -1 : g_date_time_to_unix (date);
}

double
dscore_head_retry_after (const DscoreHead *self)
{
  const char *value = dscore_head_get (self, "retry-after");
  if ((self->status != 429 && self->status != 503) || value == NULL || *value == '\0')
    return -1;
  if (value[strspn (value, "0123456789")] == '\0')
    return g_ascii_strtod (value, NULL);
  /* This machine's clock may be years off: a date of the server counts from its own Date, or not at all. */
  gint64 until = read_date (value), date = read_date (dscore_head_get (self, "date"));
  return until < 0 || date < 0 ? -1 : (double) MAX (until - date, 0);
}
