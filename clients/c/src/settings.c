/* The table of settings, and how the text of each is read. The names are the file's; the Python agent has the same. */
#include "config-private.h"

#include "file.h"
#include "ini.h"
#include "json.h"
#include "similar.h"
#include "url.h"

#include <string.h>

#define MAX_SECONDS 86400.0
#define FINGERPRINT_DIGITS 64

static char *
replace (char **field, char *value)
{
  g_free (*field);
  *field = value;
  return NULL;
}

static char *
parse_text (const char *text, gpointer field)
{
  return *text == '\0' ? g_strdup ("must not be empty") : replace (field, g_strdup (text));
}

static char *
parse_boolean (const char *text, gpointer field)
{
  static const char *const words[] = { "false", "no", "off", "0", "true", "yes", "on", "1" };
  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_ascii_strcasecmp (text, words[i]) == 0)
      {
        *(gboolean *) field = i >= G_N_ELEMENTS (words) / 2;
        return NULL;
      }
  return g_strdup_printf ("must be true or false, not '%s'", text);
}

static char *
read_seconds (const char *text, double *seconds)
{
  char *end = NULL;
  *seconds = g_ascii_strtod (text, &end);
  if (end == text || *end != '\0' || strpbrk (text, "xXnN") != NULL || !(*seconds > 0 && *seconds <= MAX_SECONDS))
    return g_strdup_printf ("must be a number of seconds above 0, not '%s'", text);
  return NULL;
}

static char *
parse_time (const char *text, gpointer field)
{
  double seconds;
  char *problem = read_seconds (text, &seconds);
  if (problem == NULL)
    *(gint64 *) field = MAX ((gint64) (seconds * G_USEC_PER_SEC), 1);
  return problem;
}

static char *
parse_seconds (const char *text, gpointer field)
{
  double seconds;
  char *problem = read_seconds (text, &seconds);
  if (problem == NULL)
    *(double *) field = seconds;
  return problem;
}

static char *
parse_whole (const char *text, guint least, guint most, guint *field)
{
  guint64 value;
  if (!g_ascii_string_to_unsigned (text, 10, least, most, &value, NULL) || *text == '+')
    return g_strdup_printf ("must be a whole number from %u to %u, not '%s'", least, most, text);
  *field = (guint) value;
  return NULL;
}

static char *
parse_limit (const char *text, gpointer field)
{
  return parse_whole (text, 1, 1000000, field);
}

static char *
parse_size (const char *text, gpointer field)
{
  return parse_whole (text, 64, 100000000, field);
}

static char *
parse_port (const char *text, gpointer field)
{
  guint port;
  return parse_whole (text, 1, 65535, &port);
}

static char *
parse_file (const char *text, gpointer field)
{
  if (*text == '\0')
    return g_strdup ("must not be empty");
  gboolean home = text[0] == '~' && (text[1] == '/' || text[1] == '\0');
  g_autofree char *named = home ? g_build_filename (g_get_home_dir (), text + 1, NULL) : g_strdup (text);
  if (!g_file_test (named, G_FILE_TEST_IS_REGULAR))
    return g_strdup_printf ("there is no file %s", named);
  /* GIO's TLS fails oddly with a relative one, and the program may change its directory. */
  return replace (field, g_canonicalize_filename (named, NULL));
}

char *
dscore_read_token (const char *path, char **problem)
{
  g_autofree char *fault = NULL;
  gsize size = 0;
  g_autofree char *text = dscore_file_read (path, DSCORE_TOKEN_BYTES, &size, &fault);
  if (text == NULL)
    *problem = g_strdup_printf ("cannot read %s: %s", path, fault);
  else if (!g_utf8_validate (text, (gssize) size, NULL))
    *problem = g_strdup_printf ("%s is not UTF-8 text", path);
  else
    {
      const char *start = g_str_has_prefix (text, "\xef\xbb\xbf") ? text + 3 : text;
      g_auto (GStrv) lines = g_strsplit_set (start, "\r\n", -1);
      for (char **line = lines; *line != NULL; line++)
        {
          g_autofree char *token = dscore_ini_strip (*line, strlen (*line));
          if (*token != '\0' && **line != '#')
            return g_steal_pointer (&token);
        }
      *problem = g_strdup_printf ("there is no token in %s", path);
    }
  return NULL;
}

static char *
parse_token_file (const char *text, gpointer field)
{
  char *problem = parse_file (text, field);
  if (problem == NULL)
    g_free (dscore_read_token (*(char **) field, &problem));
  return problem;
}

static char *
parse_object (const char *text, gpointer field)
{
  JsonObject **object = field;
  if (dscore_json_fault (text, strlen (text)) == NULL)
    {
      g_autoptr (JsonNode) node = json_from_string (text, NULL);
      if (node != NULL && JSON_NODE_HOLDS_OBJECT (node))
        {
          g_clear_pointer (object, json_object_unref);
          *object = json_node_dup_object (node);
          return NULL;
        }
    }
  return g_strdup ("must be a JSON object such as {\"site\": \"north\"}");
}

static char *
parse_kinds (const char *text, gpointer field)
{
  static const char *const kinds[] = { "error", "warning", "eos", "stream_added", "stream_removed", "stream_eos", NULL };
  g_auto (GStrv) words = g_strsplit (text, ",", -1);
  g_autoptr (GPtrArray) chosen = g_ptr_array_new_with_free_func (g_free);
  for (char **word = words; *word != NULL; word++)
    {
      g_strstrip (*word);
      if (**word == '\0')
        continue;
      if (!g_strv_contains (kinds, *word))
        return g_strdup_printf ("there are error, warning, eos, stream_added, stream_removed, stream_eos, not %s", *word);
      if (!g_ptr_array_find_with_equal_func (chosen, *word, g_str_equal, NULL))
        g_ptr_array_add (chosen, g_strdup (*word));
    }
  g_ptr_array_set_free_func (chosen, NULL);
  g_ptr_array_add (chosen, NULL);
  g_strfreev (*(char ***) field);
  *(char ***) field = (char **) g_ptr_array_free (g_steal_pointer (&chosen), FALSE);
  return NULL;
}

/* With colons or without, as openssl prints them. */
static char *
parse_fingerprints (const char *text, gpointer field)
{
  g_auto (GStrv) words = g_strsplit (text, ",", -1);
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  for (char **word = words; *word != NULL; word++)
    {
      g_auto (GStrv) parts = g_strsplit (g_strstrip (*word), ":", -1);
      g_autofree char *joined = g_strjoinv ("", parts);
      g_autofree char *digits = g_ascii_strdown (joined, -1);
      if (*digits == '\0')
        continue;
      if (strlen (digits) != FINGERPRINT_DIGITS || strspn (digits, "0123456789abcdef") != FINGERPRINT_DIGITS)
        return g_strdup_printf ("%.80s is no SHA-256 of a certificate: 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` "
                                "prints them",
                                digits);
      g_ptr_array_add (found, g_steal_pointer (&digits));
    }
  g_ptr_array_set_free_func (found, NULL);
  g_ptr_array_add (found, NULL);
  g_strfreev (*(char ***) field);
  *(char ***) field = (char **) g_ptr_array_free (g_steal_pointer (&found), FALSE);
  return NULL;
}

static char *
parse_url (const char *text, gpointer field)
{
  g_autoptr (DscoreUrl) url = dscore_url_parse (text);
  if (url == NULL || (strcmp (url->scheme, "ws") != 0 && strcmp (url->scheme, "wss") != 0))
    return g_strdup_printf ("must be an address such as ws://127.0.0.1:8765/deepstream/ws, not '%s'", text);
  if (url->has_user)
    return g_strdup ("must hold no user and password: use token or token_file");
  return replace (field, g_strdup (text));
}

static char *
parse_dialect (const char *text, gpointer field)
{
  if (strcmp (text, "raw") == 0)
    return NULL;
  if (strcmp (text, "socketio") == 0)
    return g_strdup ("the C client speaks raw; the Python agent speaks socketio");
  return g_strdup_printf ("must be raw, not '%s'", text);
}

static char *
parse_proxy (const char *text, gpointer field)
{
  g_autoptr (DscoreUrl) url = dscore_url_parse (text);
  if (strcmp (text, "none") != 0 && (url == NULL || strcmp (url->scheme, "http") != 0))
    return g_strdup ("must be none, or an address such as http://proxy.example:3128");
  return replace (field, g_strdup (text));
}

static char *
parse_instance_id (const char *text, gpointer field)
{
  if (*text == '\0' || strlen (text) > DSCORE_MAX_ID)
    return g_strdup_printf ("must have 1 to %d bytes", DSCORE_MAX_ID);
  return replace (field, g_strdup (text));
}

#define FIELD(name) G_STRUCT_OFFSET (struct _DscoreConfig, name)

const DscoreSetting dscore_settings[] = {
  /* The DeepStream contract's, in its units and with its defaults. */
  { "health_check_interval_sec", parse_time, FIELD (health_check_interval) },
  { "health_check_timeout_sec", parse_time, FIELD (health_check_timeout) },
  { "health_check_enabled", parse_boolean, FIELD (health_check_enabled) },
  { "graceful_shutdown_timeout_sec", parse_time, FIELD (graceful_shutdown_timeout) },
  { "pipeline_stop_timeout_sec", parse_time, FIELD (pipeline_stop_timeout) },
  { "exponential_backoff_enabled", parse_boolean, FIELD (reconnect.exponential) },
  { "max_reconnect_delay_sec", parse_seconds, FIELD (reconnect.cap) },
  { "server_shutdown_retry_delay_sec", parse_seconds, FIELD (reconnect.shutdown_delay) },
  /* Ours. */
  { "url", parse_url, FIELD (url) },
  { "dialect", parse_dialect, 0 },
  { "instance_id", parse_instance_id, FIELD (instance_id) },
  { "token", parse_text, FIELD (token) },
  { "token_file", parse_token_file, FIELD (token_file) },
  { "ca_file", parse_file, FIELD (ca_file) },
  { "server_fingerprints", parse_fingerprints, FIELD (server_fingerprints) },
  { "cert_file", parse_file, FIELD (cert_file) },
  { "key_file", parse_file, FIELD (key_file) },
  { "proxy", parse_proxy, FIELD (proxy) },
  { "app_config", parse_object, FIELD (app_config) },
  { "identity_retry_delay_sec", parse_seconds, FIELD (reconnect.identity_delay) },
  { "reconnect_jitter_enabled", parse_boolean, FIELD (reconnect.jitter) },
  { "ping_interval_sec", parse_time, FIELD (ping_interval) },
  { "ping_timeout_sec", parse_time, FIELD (ping_timeout) },
  { "outbox_limit", parse_limit, FIELD (outbox_limit) },
  { "max_message_size", parse_size, FIELD (max_message_size) },
  /* The Python agent's own metrics; a file is for both. */
  { "metrics_port", parse_port, 0 },
  { "pipeline_reports", parse_kinds, FIELD (pipeline_reports) },
  { "pipeline_restart", parse_boolean, FIELD (pipeline_restart) },
  { NULL, NULL, 0 },
};

const DscoreSetting *
dscore_setting_find (const char *key)
{
  for (const DscoreSetting *one = dscore_settings; one->key != NULL; one++)
    if (strcmp (one->key, key) == 0)
      return one;
  return NULL;
}

const char *
dscore_setting_nearest (const char *key, double cutoff)
{
  const char *nearest = NULL;
  double best = cutoff;
  /* The name of a variable may be any bytes: of such it would read past the end. */
  g_autofree char *valid = g_utf8_make_valid (key, -1);
  g_autofree char *lower = g_utf8_strdown (valid, -1);
  for (const DscoreSetting *one = dscore_settings; one->key != NULL; one++)
    {
      double likeness = dscore_similarity (lower, one->key);
      if (likeness > best || (likeness == best && (nearest == NULL || strcmp (one->key, nearest) > 0)))
        {
          best = likeness;
          nearest = one->key;
        }
    }
  return nearest;
}
