/* A server's bytes as the head of an answer, as a health document, and as an address. */
#include "handshake.h"
#include "healthscan.h"
#include "url.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  const char *text = (const char *) data, *fault;
  gsize used;
  g_autoptr (DscoreHead) head = dscore_head_read (text, size, &used, &fault);
  if (head != NULL)
    {
      g_free (dscore_handshake_fault (head, "dGhlIHNhbXBsZSBub25jZQ=="));
      (void) dscore_head_retry_after (head);
      g_assert (used <= size && fault == NULL);
    }
  DscoreHealthScan whole, split;
  dscore_health_scan_init (&whole);
  dscore_health_scan_init (&split);
  dscore_health_scan_feed (&whole, text, size);
  for (gsize i = 0; i < size; i++)
    dscore_health_scan_feed (&split, text + i, 1);
  g_assert (dscore_health_scan_judge (&whole) == dscore_health_scan_judge (&split));
  g_autofree char *line = g_strndup (text, size);
  dscore_url_free (dscore_url_parse (line));
  return 0;
}
