/* The vectors that all clients share. */
#include "vectors.h"

JsonNode *
load_vectors (const char *name)
{
  g_autofree char *path = g_build_filename (DSCORE_VECTORS, name, NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  return json_node_copy (json_parser_get_root (parser));
}

const char *
text_of (JsonObject *object, const char *name)
{
  return json_object_get_string_member (object, name);
}

double
number_of (JsonObject *object, const char *name)
{
  return json_object_get_double_member (object, name);
}

static void
append_hex (GByteArray *bytes, const char *hex)
{
  for (; hex[0] != '\0'; hex += 2)
    {
      guint8 byte = (guint8) (g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]));
      g_byte_array_append (bytes, &byte, 1);
    }
}

GByteArray *
bytes_of (JsonArray *parts)
{
  GByteArray *bytes = g_byte_array_new ();
  for (guint i = 0; i < json_array_get_length (parts); i++)
    {
      JsonArray *part = json_array_get_array_element (parts, i);
      for (gint64 times = json_array_get_int_element (part, 1); times > 0; times--)
        append_hex (bytes, json_array_get_string_element (part, 0));
    }
  return bytes;
}
