/* A server's bytes as frames, split where the first byte says: equal events, no fault of memory. */
#include "message.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

typedef struct {
  guint32 digest;
  guint events;
} Heard;

static void
mix (Heard *heard, gconstpointer data, gsize size, guint32 kind)
{
  const guint8 *bytes = data;
  heard->digest = heard->digest * 31 + kind;
  for (gsize i = 0; i < size; i++)
    heard->digest = heard->digest * 31 + bytes[i];
  heard->events++;
}

static void
on_message (gpointer owner, const char *data, gsize size, gboolean is_text)
{
  if (is_text && !g_utf8_validate (data, (gssize) size, NULL))
    {
      /* g_utf8_validate stops at a NUL; the rest of such a text is checked by the codec alone. */
      if (memchr (data, 0, size) == NULL)
        g_error ("text that is not UTF-8");
    }
  mix (owner, data, size, 1);
}

static void
on_ping (gpointer owner, const guint8 *data, gsize size)
{
  mix (owner, data, size, 2);
}

static void
on_close (gpointer owner, guint code, const char *reason, const guint8 *payload, gsize size)
{
  mix (owner, reason, strlen (reason), code);
}

static Heard
hear (const guint8 *data, gsize size, gsize step)
{
  static const DscoreMessageSink sink = { on_message, on_ping, on_close };
  const DscoreMessageLimits limits = { 4096, 16, FALSE };
  Heard heard = { 0 };
  g_autoptr (DscoreMessages) messages = dscore_messages_new (&limits, &sink, &heard);
  for (gsize at = 0; at < size; at += step)
    {
      const char *fault;
      guint code = dscore_messages_feed (messages, data + at, MIN (step, size - at), &fault);
      if (code != 0)
        mix (&heard, fault, strlen (fault), code);
    }
  return heard;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  if (size < 2)
    return 0;
  Heard whole = hear (data + 1, size - 1, size);
  Heard split = hear (data + 1, size - 1, 1 + data[0] % 16);
  if (whole.digest != split.digest || whole.events != split.events)
    g_error ("split frames are heard otherwise");
  return 0;
}
