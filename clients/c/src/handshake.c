/* The opening handshake, a client's half of it (RFC 6455 §4.1). Nothing is offered, so nothing may be chosen. */
#include "handshake.h"

#include "frame.h"

#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void
dscore_handshake_key (char key[DSCORE_KEY_SIZE + 1])
{
  guint8 bytes[16];
  dscore_random_fill (bytes, sizeof bytes);
  g_autofree char *text = g_base64_encode (bytes, sizeof bytes);
  g_strlcpy (key, text, DSCORE_KEY_SIZE + 1);
}

char *
dscore_handshake_request (const char *target, const char *host, const char *key)
{
  return g_strdup_printf ("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          target, host, key);
}

char *
dscore_handshake_accept (const char *key)
{
  guint8 digest[20];
  gsize size = sizeof digest;
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA1);
  g_checksum_update (checksum, (const guchar *) key, -1);
  g_checksum_update (checksum, (const guchar *) GUID, -1);
  g_checksum_get_digest (checksum, digest, &size);
  return g_base64_encode (digest, size);
}

static char *
refusal (guint status)
{
  gboolean no_such_socket = status == 400 || status == 404 || status == 405 || status == 426;
  return g_strdup_printf ("HTTP %u instead of a WebSocket%s", status,
                          no_such_socket ? ": is this the address for agents of a dscore server?" : "");
}

char *
dscore_handshake_fault (const DscoreHead *head, const char *key)
{
  if (head->status != 101)
    return refusal (head->status);
  g_autofree char *accept = dscore_handshake_accept (key);
  const char *found = dscore_head_get (head, "sec-websocket-accept");
  if (!dscore_head_has_word (head, "upgrade", "websocket") || !dscore_head_has_word (head, "connection", "upgrade"))
    return g_strdup ("the answer does not upgrade to a WebSocket");
  if (found == NULL || strcmp (found, accept) != 0)
    return g_strdup ("the answer has the wrong Sec-WebSocket-Accept");
  if (dscore_head_get (head, "sec-websocket-extensions") != NULL || dscore_head_get (head, "sec-websocket-protocol") != NULL)
    return g_strdup ("the answer chooses what was not offered");
  return NULL;
}
