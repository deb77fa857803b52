/* Text of all kinds: JSON, HTTP heads, the health document, INI files, addresses. */
#include "handshake.h"
#include "healthscan.h"
#include "ini.h"
#include "json.h"
#include "dscore-types.h"
#include "similar.h"
#include "url.h"
#include "vectors.h"

#include <string.h>

static const char *const good_json[] = {
  "{}", "[]", "0", "-0", "1.5e-3", "1E+5", "\"\"", "true", "false", "null", " [1 , 2 , {\"a\" : [ ] } ] \r\n\t",
  "{\"a\":\"\\u00fc\\ud83d\\ude00\\n\"}", "\"\xc3\xbc\"", "123456789012345678901234567890", "[[[[[[[[]]]]]]]]",
};

static const char *const bad_json[] = {
  "", " ", "{", "}", "[", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":'b'}", "01", "-", "1.",
  ".5", "1e", "+1", "0x10", "NaN", "Infinity", "tru", "nulll", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
  "\"\\udc00\"", "\"\\u0000\"", "\"\n\"", "// c\n{}", "/* c */{}", "{}{}", "{} x", "[1 2]", "[}", "{]", "\"\xff\"", "{\"a\":1 \"b\":2}",
};

static void
test_json_strict (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (good_json); i++)
    g_assert_cmpstr (dscore_json_fault (good_json[i], strlen (good_json[i])), ==, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (bad_json); i++)
    {
      g_test_message ("%s", bad_json[i]);
      g_assert_nonnull (dscore_json_fault (bad_json[i], strlen (bad_json[i])));
    }
  g_assert_nonnull (dscore_json_fault ("\"a\0b\"", 5));
}

static void
test_json_depth (void)
{
  for (int depth = 63; depth <= 66; depth++)
    {
      g_autofree char *open = g_strnfill ((gsize) depth, '[');
      g_autofree char *close = g_strnfill ((gsize) depth, ']');
      g_autofree char *text = g_strconcat (open, close, NULL);
      /* The innermost one is empty and costs no depth. */
      g_assert_true ((dscore_json_fault (text, strlen (text)) == NULL) == (depth <= DSCORE_JSON_DEPTH + 1));
    }
  g_autofree char *deep = g_strnfill (200000, '[');
  g_assert_cmpstr (dscore_json_fault (deep, strlen (deep)), ==, "too deep");
}

/* Few bytes that become much memory: of empty brackets, members and numbers. */
static void
test_json_of_too_many_values (void)
{
  static const struct { const char *part; int fits, too_many; } bombs[] = {
    { "{},", 150000, 200000 }, { "[],", 150000, 200000 }, { "{\"a\":0},", 100000, 200000 }, { "0,", 500000, 600000 }
  };
  for (gsize i = 0; i < G_N_ELEMENTS (bombs); i++)
    for (int many = 0; many < 2; many++)
      {
        g_autoptr (GString) text = g_string_new ("[");
        for (int n = many ? bombs[i].too_many : bombs[i].fits; n > 0; n--)
          g_string_append (text, bombs[i].part);
        g_string_append (text, "0]");
        g_assert_cmpstr (dscore_json_fault (text->str, text->len), ==, many ? "too many values" : NULL);
      }
}

static void
test_json_what_passes_is_read_by_json_glib (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (good_json); i++)
    {
      g_autofree char *text = g_strdup_printf ("{\"type\":\"a\",\"v\":%s}", good_json[i]);
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonObject) object = dscore_json_object (text, strlen (text), NULL, &error);
      g_assert_no_error (error);
      g_assert_true (json_object_has_member (object, "v"));
    }
}

static void
test_json_messages (void)
{
  static const char *const none[] = { "[]", "\"type\"", "{}", "{\"type\":1}", "{\"type\":null}", "{\"Type\":\"a\"}", "nonsense" };
  for (gsize i = 0; i < G_N_ELEMENTS (none); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (dscore_json_object (none[i], strlen (none[i]), NULL, &error));
      g_assert_error (error, DSCORE_ERROR, DSCORE_ERROR_MESSAGE);
    }
  const char *text = "{\"type\":\"a\",\"n\":1500,\"f\":0.5,\"b\":true,\"neg\":-1,\"s\":\"1\",\"big\":1e999}";
  g_autoptr (JsonObject) object = dscore_json_object (text, strlen (text), NULL, NULL);
  g_assert_cmpfloat (dscore_json_milliseconds (object, "n"), ==, 1.5);
  g_assert_cmpfloat (dscore_json_milliseconds (object, "f"), ==, 0.0005);
  static const char *const not_times[] = { "b", "neg", "s", "big", "none" };
  for (gsize i = 0; i < G_N_ELEMENTS (not_times); i++)
    g_assert_cmpfloat (dscore_json_milliseconds (object, not_times[i]), <, 0);
  g_assert_true (dscore_json_is_true (object, "b"));
  g_assert_false (dscore_json_is_true (object, "n"));
}

static DscoreHead *
head_of (const char *text, const char **fault)
{
  gsize used;
  return dscore_head_read (text, strlen (text), &used, fault);
}

static void
test_http_heads (void)
{
  static const char *const bad[] = { "HTTP/2 200\r\n\r\n", "FTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n",
                                     "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n", "\r\n\r\n",
                                     "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 200 OK\r\n: x\r\n\r\n" };
  const char *fault;
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_null (head_of (bad[i], &fault));
      g_assert_nonnull (fault);
    }
  g_assert_null (head_of ("HTTP/1.1 200 OK\r\nA: b\r\n", &fault));
  g_assert_null (fault);
  g_autoptr (DscoreHead) head = head_of ("HTTP/1.1 503\r\nRetry-After: 7\r\nVia: a\nVIA:  b \r\n\r\nbody", &fault);
  g_assert_cmpuint (head->status, ==, 503);
  g_assert_cmpstr (dscore_head_get (head, "via"), ==, "a, b");
  g_assert_true (dscore_head_has_word (head, "via", "B"));
  g_assert_cmpfloat (dscore_head_retry_after (head), ==, 7);
  g_autofree char *filler = g_strnfill (DSCORE_MAX_RESPONSE_HEAD + 1, 'a');
  g_assert_null (head_of (filler, &fault));
  g_assert_nonnull (fault);
}

static void
test_http_retry_after (void)
{
  static const struct { const char *head; double seconds; } cases[] = {
    { "200 OK\r\nRetry-After: 7", -1 },
    { "429 x\r\nRetry-After: 0", 0 },
    { "503 x\r\nRetry-After: -1", -1 },
    { "503 x\r\nRetry-After: soon", -1 },
    { "503 x\r\nRetry-After:", -1 },
    { "503 x\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", -1 },
    { "503 x\r\nDate: Sun, 06 Nov 1994 08:49:07 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", 30 },
    { "503 x\r\nDate: Sun, 06 Nov 1994 08:50:07 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0 },
    { "503 x\r\nDate: Sun, 36 Nov 1994 08:50:07 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", -1 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *fault;
      g_autofree char *text = g_strdup_printf ("HTTP/1.1 %s\r\n\r\n", cases[i].head);
      g_autoptr (DscoreHead) head = head_of (text, &fault);
      g_assert_cmpfloat (dscore_head_retry_after (head), ==, cases[i].seconds);
    }
}

static void
test_handshake (void)
{
  /* RFC 6455 §1.3 */
  const char *key = "dGhlIHNhbXBsZSBub25jZQ==";
  g_autofree char *accept = dscore_handshake_accept (key);
  g_assert_cmpstr (accept, ==, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  static const struct { const char *fields; const char *fault; } cases[] = {
    { "101 x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", NULL },
    { "101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x", "Accept" },
    { "101 x\r\nConnection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "upgrade" },
    { "101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "upgrade" },
    { "101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
      "Sec-WebSocket-Extensions: permessage-deflate", "offered" },
    { "503 x", "HTTP 503" },
    { "404 x", "is this the address" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const char *fault;
      g_autofree char *text = g_strdup_printf ("HTTP/1.1 %s\r\n\r\n", cases[i].fields);
      g_autoptr (DscoreHead) head = head_of (text, &fault);
      g_autofree char *found = dscore_handshake_fault (head, key);
      g_assert_true (cases[i].fault == NULL ? found == NULL : found != NULL && strstr (found, cases[i].fault) != NULL);
    }
  char one[DSCORE_KEY_SIZE + 1], other[DSCORE_KEY_SIZE + 1];
  dscore_handshake_key (one);
  dscore_handshake_key (other);
  g_assert_cmpuint (strlen (one), ==, DSCORE_KEY_SIZE);
  g_assert_cmpstr (one, !=, other);
}

static void
test_health (void)
{
  static const struct { const char *text; DscoreHealth health; int connected; } cases[] = {
    { "{\"status\":\"ok\"}", DSCORE_HEALTH_OK, -1 },
    { " { \"status\" : \"ok\" , \"instance_connected\" : true } ", DSCORE_HEALTH_OK, TRUE },
    { "{\"instance_connected\":false,\"status\":\"shutting_down\"}", DSCORE_HEALTH_SHUTTING_DOWN, FALSE },
    { "{\"status\":\"ok\",\"websocket\":{\"total_connections\":1,\"is_shutting_down\":true}}", DSCORE_HEALTH_SHUTTING_DOWN, -1 },
    { "{\"status\":\"ok\",\"websocket\":{\"is_shutting_down\":false},\"instance_connected\":null}", DSCORE_HEALTH_OK, -1 },
    { "{\"status\":\"ok\",\"system\":{\"is_shutting_down\":true,\"status\":\"bad\"}}", DSCORE_HEALTH_OK, -1 },
    { "{\"connected_instances\":[\"status\",\"a\\\"b\",\"is_shutting_down\"],\"status\":\"ok\"}", DSCORE_HEALTH_OK, -1 },
    { "{\"connected_instances\":[],\"status\":\"ok\"}", DSCORE_HEALTH_OK, -1 },
    { "{\"websocket\":{\"is_shutting_down\":\"true\"},\"status\":\"ok\"}", DSCORE_HEALTH_OK, -1 },
    { "{\"websocket\":{\"a\":{\"is_shutting_down\":true}},\"status\":\"ok\"}", DSCORE_HEALTH_OK, -1 },
    { "{\"websocket\":[\"is_shutting_down\",true],\"status\":\"ok\"}", DSCORE_HEALTH_OK, -1 },
    { "{\"status\":true}", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "{\"status\":[\"ok\"]}", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "{\"status\":\"fine\"}", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "{\"a\":{\"status\":\"ok\"}}", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "[{\"status\":\"ok\"}]", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "{\"status\":\"ok\"", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "{\"status\":\"ok\"}}", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "<html>{\"status\":\"ok\"}", DSCORE_HEALTH_UNREACHABLE, -1 },
    { "", DSCORE_HEALTH_UNREACHABLE, -1 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      DscoreHealthScan scan;
      dscore_health_scan_init (&scan);
      g_test_message ("%s", cases[i].text);
      for (const char *at = cases[i].text; *at != '\0'; at++)
        dscore_health_scan_feed (&scan, at, 1);
      g_assert_cmpint (dscore_health_scan_judge (&scan), ==, cases[i].health);
      g_assert_cmpint (scan.is_connected, ==, cases[i].connected);
    }
}

static void
test_ini_vectors (void)
{
  g_autoptr (JsonNode) root = load_vectors ("ini.json");
  JsonArray *cases = json_node_get_array (root);
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *one = json_array_get_object_element (cases, i);
      g_autoptr (GPtrArray) problems = g_ptr_array_new_with_free_func (g_free);
      g_test_message ("%s", text_of (one, "name"));
      const char *text = text_of (one, "text");
      if (g_str_has_prefix (text, "\xef\xbb\xbf"))
        text += 3; /* the reader of files takes it away */
      g_autoptr (GPtrArray) entries = dscore_ini_parse (text, "agent.ini", problems);
      JsonArray *said = json_object_get_array_member (one, "problems");
      g_assert_cmpuint (problems->len, ==, json_array_get_length (said));
      for (guint at = 0; at < problems->len; at++)
        g_assert_cmpstr (g_ptr_array_index (problems, at), ==, json_array_get_string_element (said, at));
      if (json_object_get_null_member (one, "entries"))
        continue;
      JsonArray *expected = json_object_get_array_member (one, "entries");
      g_assert_cmpuint (entries->len, ==, json_array_get_length (expected));
      for (guint at = 0; at < entries->len; at++)
        {
          const DscoreIniEntry *entry = g_ptr_array_index (entries, at);
          JsonArray *parts = json_array_get_array_element (expected, at);
          g_assert_cmpstr (entry->key, ==, json_array_get_string_element (parts, 0));
          g_assert_cmpstr (entry->value, ==, json_array_get_string_element (parts, 1));
          g_assert_cmpint (entry->line, ==, json_array_get_int_element (parts, 2));
        }
    }
}

static void
test_similar (void)
{
  /* By Python's difflib. */
  g_assert_cmpfloat_with_epsilon (dscore_similarity ("websocket", "websockets"), 18.0 / 19, 1e-12);
  g_assert_cmpfloat_with_epsilon (dscore_similarity ("abcd", "bcde"), 0.75, 1e-12);
  g_assert_cmpfloat (dscore_similarity ("url", "xyz"), ==, 0);
  g_assert_cmpfloat (dscore_similarity ("", ""), ==, 0);
}

static void
test_urls (void)
{
  static const char *const bad[] = { "", "ws://", "ws:///x", "://a", "ws://a:0", "ws://a:65536", "ws://a:b", "ws://[::1", "ws://[::1]x",
                                     "ws://a b", "ws://a#b", "ws://a\r\nX: y", "ws://a:+1", "a" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_null (dscore_url_parse (bad[i]));
  g_autoptr (DscoreUrl) url = dscore_url_parse ("HTTP://us%20er:p%40ss@[::1]:99/a/b?c=d");
  g_assert_cmpstr (url->scheme, ==, "http");
  g_assert_true (url->has_user);
  g_assert_cmpstr (url->host, ==, "::1");
  g_assert_cmpuint (url->port, ==, 99);
  g_assert_cmpstr (url->path, ==, "/a/b");
  g_assert_cmpstr (url->query, ==, "c=d");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/strict", test_json_strict);
  g_test_add_func ("/json/depth", test_json_depth);
  g_test_add_func ("/json/too-many-values", test_json_of_too_many_values);
  g_test_add_func ("/json/json_glib", test_json_what_passes_is_read_by_json_glib);
  g_test_add_func ("/json/messages", test_json_messages);
  g_test_add_func ("/http/heads", test_http_heads);
  g_test_add_func ("/http/retry_after", test_http_retry_after);
  g_test_add_func ("/http/handshake", test_handshake);
  g_test_add_func ("/health/scan", test_health);
  g_test_add_func ("/ini/vectors", test_ini_vectors);
  g_test_add_func ("/ini/similar", test_similar);
  g_test_add_func ("/url/parse", test_urls);
  return g_test_run ();
}
