/* Frames and messages: tests/vectors/frames.json, whole and split at every offset. */
#include "message.h"
#include "vectors.h"

#include <string.h>

static char *
hex (const guint8 *data, gsize size)
{
  GString *text = g_string_new (NULL);
  for (gsize i = 0; i < size; i++)
    g_string_append_printf (text, "%02x", data[i]);
  return g_string_free (text, FALSE);
}

static void
on_message (gpointer owner, const char *data, gsize size, gboolean is_text)
{
  g_assert_cmpint (data[size], ==, 0);
  g_autofree char *digest = g_compute_checksum_for_data (G_CHECKSUM_SHA1, (const guchar *) data, size);
  g_string_append_printf (owner, "%s %" G_GSIZE_FORMAT " %s\n", is_text ? "text" : "binary", size, digest);
}

static void
on_ping (gpointer owner, const guint8 *data, gsize size)
{
  g_autofree char *text = hex (data, size);
  g_string_append_printf (owner, "ping %s\n", text);
}

static void
on_close (gpointer owner, guint code, const char *reason, const guint8 *payload, gsize size)
{
  g_string_append_printf (owner, "close %u %s\n", code, reason);
}

static const DscoreMessageSink sink = { on_message, on_ping, on_close };

static char *
expected_of (JsonArray *events)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < json_array_get_length (events); i++)
    {
      JsonArray *event = json_array_get_array_element (events, i);
      const char *kind = json_array_get_string_element (event, 0);
      if (strcmp (kind, "text") == 0)
        {
          g_autoptr (GByteArray) bytes = bytes_of (json_array_get_array_element (event, 1));
          guint8 end = 0;
          g_byte_array_append (bytes, &end, 1);
          on_message (text, (const char *) bytes->data, bytes->len - 1, TRUE);
        }
      else if (strcmp (kind, "ping") == 0)
        g_string_append_printf (text, "ping %s\n", json_array_get_string_element (event, 1));
      else if (strcmp (kind, "close") == 0)
        on_close (text, (guint) json_array_get_int_element (event, 1), json_array_get_string_element (event, 2), NULL, 0);
      else
        g_string_append_printf (text, "fail %d\n", (int) json_array_get_int_element (event, 1));
    }
  return g_string_free (text, FALSE);
}

/* Feeds `step` bytes at a time, but the first part with `first`. */
static char *
heard (const DscoreMessageLimits *limits, const guint8 *data, gsize size, gsize first, gsize step)
{
  GString *events = g_string_new (NULL);
  g_autoptr (DscoreMessages) messages = dscore_messages_new (limits, &sink, events);
  for (gsize at = 0, part = first; at < size; at += part, part = step)
    {
      const char *fault;
      part = MIN (part, size - at);
      /* A buffer of its own, so that a sanitizer sees what is read past it. */
      g_autofree guint8 *copy = g_malloc (part);
      memcpy (copy, data + at, part);
      guint code = dscore_messages_feed (messages, copy, part, &fault);
      g_assert_true ((code != 0) == (fault != NULL));
      if (code != 0)
        g_string_append_printf (events, "fail %u\n", code);
    }
  return g_string_free (events, FALSE);
}

static void
test_vectors (void)
{
  g_autoptr (JsonNode) root = load_vectors ("frames.json");
  JsonObject *document = json_node_get_object (root);
  JsonObject *bounds = json_object_get_object_member (document, "limits");
  DscoreMessageLimits limits = { (gsize) number_of (bounds, "max_message"), (guint) number_of (bounds, "max_fragments"), FALSE };
  JsonArray *cases = json_object_get_array_member (document, "cases");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *one = json_array_get_object_element (cases, i);
      g_test_message ("%s", text_of (one, "name"));
      g_autoptr (GByteArray) bytes = bytes_of (json_object_get_array_member (one, "bytes"));
      g_autofree char *expected = expected_of (json_object_get_array_member (one, "events"));
      g_autofree char *whole = heard (&limits, bytes->data, bytes->len, bytes->len, 1);
      g_autofree char *single = heard (&limits, bytes->data, bytes->len, 1, 1);
      g_assert_cmpstr (whole, ==, expected);
      g_assert_cmpstr (single, ==, expected);
      for (gsize first = 1; first < MIN (bytes->len, 300); first++)
        {
          g_autofree char *split = heard (&limits, bytes->data, bytes->len, first, bytes->len);
          g_assert_cmpstr (split, ==, expected);
        }
    }
}

static void
test_written (void)
{
  g_autoptr (JsonNode) root = load_vectors ("frames.json");
  JsonArray *cases = json_object_get_array_member (json_node_get_object (root), "written");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *one = json_array_get_object_element (cases, i);
      g_autoptr (GByteArray) payload = bytes_of (json_object_get_array_member (one, "payload"));
      g_autoptr (GByteArray) expected = bytes_of (json_object_get_array_member (one, "bytes"));
      g_autoptr (GByteArray) written = g_byte_array_new ();
      const guint8 mask[] = { 0x37, 0xfa, 0x21, 0x3d };
      dscore_frame_write (written, (DscoreOpcode) json_object_get_int_member (one, "opcode"),
                          json_object_get_boolean_member (one, "fin"), payload->data, payload->len, mask);
      g_assert_cmpmem (written->data, written->len, expected->data, expected->len);
    }
}

/* Binary messages are for the compliance program alone. */
static void
test_binary_where_it_is_wanted (void)
{
  const DscoreMessageLimits limits = { 10, 2, TRUE };
  const guint8 frame[] = { 0x82, 0x02, 0xff, 0x00 };
  g_autofree char *events = heard (&limits, frame, sizeof frame, sizeof frame, 1);
  g_assert_true (g_str_has_prefix (events, "binary 2 "));
}

static void
test_utf8_agrees_with_glib (void)
{
  for (guint32 bits = 0; bits < 0x20000; bits++)
    {
      guint8 bytes[4] = { (guint8) (0x80 | bits >> 10), (guint8) (bits >> 2 & 0xff), (guint8) (0x80 | (bits & 3) * 0x20), 0x80 };
      for (gsize size = 1; size <= 4; size++)
        {
          DscoreUtf8 state = { 0 };
          gboolean ours = dscore_utf8_check (&state, bytes, size) && dscore_utf8_is_whole (&state);
          gboolean nul = memchr (bytes, 0, size) != NULL;
          g_assert_true (nul || ours == g_utf8_validate ((const char *) bytes, (gssize) size, NULL));
        }
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/message/vectors", test_vectors);
  g_test_add_func ("/message/written", test_written);
  g_test_add_func ("/message/binary_where_it_is_wanted", test_binary_where_it_is_wanted);
  g_test_add_func ("/message/utf8_agrees_with_glib", test_utf8_agrees_with_glib);
  return g_test_run ();
}
