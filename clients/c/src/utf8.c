/* UTF-8 as it comes: RFC 6455 §8.1 fails a connection at the first byte that cannot be right. */
#include "utf8.h"

/* The bounds of the second byte keep out long forms, surrogates and what lies beyond U+10FFFF (RFC 3629 §4). */
static gboolean
begin (DscoreUtf8 *self, guint8 byte)
{
  self->low = 0x80;
  self->high = 0xbf;
  if (byte >= 0xc2 && byte <= 0xdf)
    self->left = 1;
  else if (byte >= 0xe0 && byte <= 0xef)
    {
      self->left = 2;
      if (byte == 0xe0)
        self->low = 0xa0;
      if (byte == 0xed)
        self->high = 0x9f;
    }
  else if (byte >= 0xf0 && byte <= 0xf4)
    {
      self->left = 3;
      if (byte == 0xf0)
        self->low = 0x90;
      if (byte == 0xf4)
        self->high = 0x8f;
    }
  else
    return byte < 0x80;
  return TRUE;
}

gboolean
dscore_utf8_check (DscoreUtf8 *self, const guint8 *data, gsize size)
{
  for (gsize i = 0; i < size; i++)
    {
      if (self->left == 0)
        {
          if (!begin (self, data[i]))
            return FALSE;
          continue;
        }
      if (data[i] < self->low || data[i] > self->high)
        return FALSE;
      self->left--;
      self->low = 0x80;
      self->high = 0xbf;
    }
  return TRUE;
}

gboolean
dscore_utf8_is_whole (const DscoreUtf8 *self)
{
  return self->left == 0;
}
