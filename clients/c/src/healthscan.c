/* The health document, read for `status`, `websocket.is_shutting_down` and `instance_connected` alone.
 *
 * No check of all its grammar: a page of another program has no `status` that is a word of ours at its top. */
#include "healthscan.h"

#include <string.h>

enum { NONE, STATUS, WEBSOCKET, CLOSING, CONNECTED };

void
dscore_health_scan_init (DscoreHealthScan *self)
{
  memset (self, 0, sizeof *self);
  self->is_connected = -1;
  self->status = DSCORE_HEALTH_UNREACHABLE;
}

static guint8
field_of (const DscoreHealthScan *self)
{
  if (self->too_long)
    return NONE;
  if (self->depth == 1)
    return strcmp (self->word, "status") == 0              ? STATUS
           : strcmp (self->word, "websocket") == 0         ? WEBSOCKET
           : strcmp (self->word, "instance_connected") == 0 ? CONNECTED
                                                            : NONE;
  return self->depth == 2 && self->inside == WEBSOCKET && strcmp (self->word, "is_shutting_down") == 0 ? CLOSING : NONE;
}

/* A string has ended, or a literal. */
static void
take_value (DscoreHealthScan *self, gboolean is_string)
{
  const char *word = self->too_long ? "" : self->word;
  switch (self->field)
    {
    case STATUS:
      self->status = !is_string                           ? DSCORE_HEALTH_UNREACHABLE
                     : strcmp (word, "ok") == 0           ? DSCORE_HEALTH_OK
                     : strcmp (word, "shutting_down") == 0 ? DSCORE_HEALTH_SHUTTING_DOWN
                                                          : DSCORE_HEALTH_UNREACHABLE;
      break;
    case CLOSING:
      self->closing = !is_string && strcmp (word, "true") == 0;
      break;
    case CONNECTED:
      self->is_connected = is_string ? -1 : strcmp (word, "true") == 0 ? TRUE : strcmp (word, "false") == 0 ? FALSE : -1;
      break;
    default:
      break;
    }
  self->field = NONE;
}

static void
begin_word (DscoreHealthScan *self)
{
  self->size = 0;
  self->word[0] = '\0';
  self->too_long = FALSE;
}

static void
add (DscoreHealthScan *self, char c)
{
  if (self->size + 1u >= sizeof self->word)
    self->too_long = TRUE;
  else
    {
      self->word[self->size++] = c;
      self->word[self->size] = '\0';
    }
}

static void
end_literal (DscoreHealthScan *self)
{
  if (self->size > 0 || self->too_long)
    take_value (self, FALSE);
  begin_word (self);
}

static void
open_bracket (DscoreHealthScan *self, char c)
{
  if (self->depth == 0 && (self->begun || c != '{'))
    self->broken = TRUE;
  if (self->depth == 1)
    self->inside = c == '{' ? self->field : NONE;
  self->begun = TRUE;
  self->field = NONE;
  self->is_key = c == '{';
  self->depth++;
}

static void
in_string (DscoreHealthScan *self, char c)
{
  if (self->escaped)
    {
      /* No field or word of ours is written with escapes. */
      self->escaped = FALSE;
      self->too_long = TRUE;
    }
  else if (c == '\\')
    self->escaped = TRUE;
  else if (c != '"')
    add (self, c);
  else
    {
      self->in_string = FALSE;
      if (!self->is_key)
        take_value (self, TRUE);
      else
        self->field = field_of (self);
      if (!self->is_key)
        begin_word (self);
    }
}

static void
between (DscoreHealthScan *self, char c)
{
  switch (c)
    {
    case '"':
      begin_word (self);
      self->in_string = TRUE;
      self->broken |= self->depth == 0;
      break;
    case '{':
    case '[':
      open_bracket (self, c);
      break;
    case '}':
    case ']':
      end_literal (self);
      self->broken |= self->depth == 0;
      self->depth -= self->depth > 0;
      if (self->depth <= 1)
        self->inside = NONE;
      self->is_key = FALSE;
      break;
    case ':':
      begin_word (self);
      self->is_key = FALSE;
      break;
    case ',':
      end_literal (self);
      /* Within an array at depth 1 or 2 this takes a string for a key: harmless, for no colon and value follow it. */
      self->is_key = TRUE;
      break;
    case ' ':
    case '\t':
    case '\n':
    case '\r':
      break;
    default:
      self->broken |= self->depth == 0;
      add (self, c);
      break;
    }
}

void
dscore_health_scan_feed (DscoreHealthScan *self, const char *data, gsize size)
{
  for (gsize i = 0; i < size && !self->broken; i++)
    {
      if (self->in_string)
        in_string (self, data[i]);
      else
        between (self, data[i]);
    }
}

DscoreHealth
dscore_health_scan_judge (const DscoreHealthScan *self)
{
  if (self->broken || !self->begun || self->depth != 0 || self->in_string)
    return DSCORE_HEALTH_UNREACHABLE;
  return self->closing ? DSCORE_HEALTH_SHUTTING_DOWN : self->status;
}
