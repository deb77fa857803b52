/* Frames in, messages out: RFC 6455 §5.4 to §5.6 and §8.1. No socket, no clock.
 *
 * The machine, by what is being read:
 *
 *     head     of the next frame; a fault in it ends all
 *     payload  of that frame: text is checked as it comes, and counted before it is kept
 *     over     a close frame has come, or a fault: whatever follows is dropped
 *
 * A message is open from its first frame to the one with FIN; control frames may come between, and have a buffer of their own. */
#include "message.h"

#include <string.h>

struct _DscoreMessages {
  DscoreMessageLimits limits;
  const DscoreMessageSink *sink;
  gpointer owner;

  DscoreFrameHead head;
  gboolean in_payload;
  guint64 left; /* bytes of the payload that are still to come */

  gboolean open; /* a message has begun */
  gboolean is_text;
  guint fragments;
  DscoreUtf8 utf8;
  GByteArray *message;

  guint8 control[DSCORE_MAX_CONTROL + 1];
  gsize control_size;

  gboolean over;
};

DscoreMessages *
dscore_messages_new (const DscoreMessageLimits *limits, const DscoreMessageSink *sink, gpointer owner)
{
  DscoreMessages *self = g_new0 (DscoreMessages, 1);
  self->limits = *limits;
  self->sink = sink;
  self->owner = owner;
  self->message = g_byte_array_new ();
  return self;
}

void
dscore_messages_free (DscoreMessages *self)
{
  if (self == NULL)
    return;
  g_byte_array_unref (self->message);
  g_free (self);
}

gboolean
dscore_close_code_is_valid (guint code)
{
  /* §7.4: 1004 to 1006 and 1015 never stand in a frame; 1012 to 1014 are of the registry. */
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static guint
begin_frame (DscoreMessages *self, const char **fault)
{
  const DscoreFrameHead *head = &self->head;
  self->left = head->length;
  self->in_payload = TRUE;
  if (dscore_opcode_is_control (head->opcode))
    {
      self->control_size = 0;
      return 0;
    }
  if ((head->opcode == DSCORE_OPCODE_CONTINUATION) != self->open)
    {
      *fault = self->open ? "a message begins within another" : "a continuation of nothing";
      return DSCORE_CLOSE_PROTOCOL;
    }
  if (!self->open)
    {
      self->open = TRUE;
      self->is_text = head->opcode == DSCORE_OPCODE_TEXT;
      self->fragments = 0;
      memset (&self->utf8, 0, sizeof self->utf8);
      g_byte_array_set_size (self->message, 0);
    }
  if (!self->is_text && !self->limits.binary)
    {
      *fault = "binary where text is due";
      return DSCORE_CLOSE_UNSUPPORTED;
    }
  if (++self->fragments > self->limits.max_fragments)
    {
      *fault = "too many fragments";
      return DSCORE_CLOSE_POLICY;
    }
  if (head->length > self->limits.max_message - self->message->len)
    {
      *fault = "a message is too long";
      return DSCORE_CLOSE_TOO_BIG;
    }
  return 0;
}

static guint
take_payload (DscoreMessages *self, const guint8 *data, gsize size, const char **fault)
{
  self->left -= size;
  if (dscore_opcode_is_control (self->head.opcode))
    {
      memcpy (self->control + self->control_size, data, size); /* the head was refused past MAX_CONTROL */
      self->control_size += size;
      return 0;
    }
  if (self->is_text && !dscore_utf8_check (&self->utf8, data, size))
    {
      *fault = "text that is not UTF-8";
      return DSCORE_CLOSE_INVALID;
    }
  g_byte_array_append (self->message, data, (guint) size);
  return 0;
}

static guint
take_close (DscoreMessages *self, const char **fault)
{
  DscoreUtf8 utf8 = { 0 };
  gsize size = self->control_size;
  guint code = size >= 2 ? (guint) self->control[0] << 8 | self->control[1] : DSCORE_CLOSE_NO_CODE;
  self->control[size] = 0;
  if (size == 1 || (size >= 2 && !dscore_close_code_is_valid (code)))
    {
      *fault = "a close code that no endpoint may send";
      return DSCORE_CLOSE_PROTOCOL;
    }
  if (size > 2 && (!dscore_utf8_check (&utf8, self->control + 2, size - 2) || !dscore_utf8_is_whole (&utf8)))
    {
      *fault = "a reason that is not UTF-8";
      return DSCORE_CLOSE_INVALID;
    }
  self->over = TRUE;
  self->sink->close (self->owner, code, size > 2 ? (const char *) self->control + 2 : "", self->control, size);
  return 0;
}

static guint
end_frame (DscoreMessages *self, const char **fault)
{
  static const guint8 end_of_text = 0;
  self->in_payload = FALSE;
  self->head.have = 0;
  switch (self->head.opcode)
    {
    case DSCORE_OPCODE_CLOSE:
      return take_close (self, fault);
    case DSCORE_OPCODE_PING:
      self->sink->ping (self->owner, self->control, self->control_size);
      return 0;
    case DSCORE_OPCODE_PONG:
      return 0;
    default:
      break;
    }
  if (!self->head.fin)
    return 0;
  if (self->is_text && !dscore_utf8_is_whole (&self->utf8))
    {
      *fault = "text that ends within a character";
      return DSCORE_CLOSE_INVALID;
    }
  self->open = FALSE;
  g_byte_array_append (self->message, &end_of_text, 1);
  self->sink->message (self->owner, (const char *) self->message->data, self->message->len - 1, self->is_text);
  /* One long message must not hold its memory for months. */
  if (self->message->len > 64 * 1024)
    {
      g_byte_array_unref (self->message);
      self->message = g_byte_array_new ();
    }
  return 0;
}

static guint
step (DscoreMessages *self, const guint8 **data, gsize *size, const char **fault)
{
  if (!self->in_payload)
    {
      gsize used;
      gboolean whole = dscore_frame_head_read (&self->head, *data, *size, &used, fault);
      *data += used;
      *size -= used;
      if (*fault != NULL)
        return DSCORE_CLOSE_PROTOCOL;
      return whole ? begin_frame (self, fault) : 0;
    }
  gsize here = (gsize) MIN (self->left, *size);
  guint code = here == 0 ? 0 : take_payload (self, *data, here, fault);
  *data += here;
  *size -= here;
  return code;
}

guint
dscore_messages_feed (DscoreMessages *self, const guint8 *data, gsize size, const char **fault)
{
  guint code = 0;
  *fault = NULL;
  while (!self->over && code == 0 && size > 0)
    {
      code = step (self, &data, &size, fault);
      if (code == 0 && self->in_payload && self->left == 0)
        code = end_frame (self, fault);
    }
  if (code != 0)
    self->over = TRUE;
  return code;
}
