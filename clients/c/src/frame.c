/* One frame of RFC 6455 §5: its head read byte by byte, a whole one written. No socket, no state beyond a head. */
#include "frame.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

gboolean
dscore_opcode_is_control (DscoreOpcode opcode)
{
  return (opcode & 0x8) != 0;
}

static gboolean
is_known (guint8 opcode)
{
  return opcode <= DSCORE_OPCODE_BINARY || (opcode >= DSCORE_OPCODE_CLOSE && opcode <= DSCORE_OPCODE_PONG);
}

/* Bytes of the head, as far as its first two tell. */
static guint8
head_size (const DscoreFrameHead *self)
{
  if (self->have < 2)
    return 2;
  switch (self->bytes[1] & 0x7f)
    {
    case 126: return 4;
    case 127: return 10;
    default: return 2;
    }
}

/* What the first two bytes may not say, at once: a peer that is wrong is not waited for. */
static const char *
fault_of_start (const guint8 *bytes)
{
  guint8 opcode = bytes[0] & 0x0f;
  if ((bytes[0] & 0x70) != 0)
    return "a reserved bit is set";
  if (!is_known (opcode))
    return "unknown opcode";
  if ((bytes[1] & 0x80) != 0)
    return "a server's frame is masked"; /* §5.1 */
  if (dscore_opcode_is_control (opcode) && (bytes[0] & 0x80) == 0)
    return "a fragmented control frame"; /* §5.5 */
  if (dscore_opcode_is_control (opcode) && (bytes[1] & 0x7f) > DSCORE_MAX_CONTROL)
    return "a control frame is too long";
  return NULL;
}

static const char *
finish_head (DscoreFrameHead *self, guint8 size)
{
  self->opcode = self->bytes[0] & 0x0f;
  self->fin = (self->bytes[0] & 0x80) != 0;
  self->length = self->bytes[1] & 0x7f;
  if (size == 2)
    return NULL;
  self->length = 0;
  for (guint8 i = 2; i < size; i++)
    self->length = self->length << 8 | self->bytes[i];
  if (size == 10 && (self->bytes[2] & 0x80) != 0)
    return "a length has its highest bit set"; /* §5.2 */
  if (self->length < (size == 4 ? 126u : 65536u))
    return "a length is not written in the shortest way";
  return NULL;
}

gboolean
dscore_frame_head_read (DscoreFrameHead *self, const guint8 *data, gsize size, gsize *used, const char **fault)
{
  *used = 0;
  *fault = NULL;
  while (self->have < head_size (self))
    {
      if (*used == size)
        return FALSE;
      self->bytes[self->have++] = data[(*used)++];
      if (self->have == 2 && (*fault = fault_of_start (self->bytes)) != NULL)
        return TRUE;
    }
  *fault = finish_head (self, self->have);
  return TRUE;
}

static void
append_length (GByteArray *out, gsize length)
{
  guint8 bytes[9];
  guint size = 1;
  if (length < 126)
    bytes[0] = (guint8) length;
  else
    {
      guint digits = length <= G_MAXUINT16 ? 2 : 8;
      bytes[0] = digits == 2 ? 126 : 127;
      for (guint i = 0; i < digits; i++)
        bytes[1 + i] = (guint8) ((guint64) length >> 8 * (digits - 1 - i));
      size += digits;
    }
  bytes[0] |= 0x80;
  g_byte_array_append (out, bytes, size);
}

void
dscore_frame_write (GByteArray *out, DscoreOpcode opcode, gboolean fin, gconstpointer payload, gsize length,
                    const guint8 mask[4])
{
  guint8 first = (guint8) (opcode | (fin ? 0x80 : 0));
  g_byte_array_append (out, &first, 1);
  append_length (out, length);
  g_byte_array_append (out, mask, 4);
  if (length == 0)
    return;
  guint at = out->len;
  g_byte_array_append (out, payload, (guint) length);
  for (gsize i = 0; i < length; i++)
    out->data[at + i] ^= mask[i & 3];
}

void
dscore_random_fill (gpointer bytes, gsize size)
{
  guint8 *at = bytes;
  while (size > 0)
    {
      gssize got = getrandom (at, size, 0);
      if (got < 0 && errno != EINTR)
        g_error ("getrandom: %s", g_strerror (errno)); /* Since Linux 3.17 it fails for no reason of the caller's. */
      if (got > 0)
        {
          at += got;
          size -= (gsize) got;
        }
    }
}
