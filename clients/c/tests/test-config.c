/* Settings: their sources, their order, their problems. */
#include "config-private.h"
#include "file.h"
#include "identity.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
file_with (const char *text)
{
  g_autoptr (GError) error = NULL;
  char *path = NULL;
  int descriptor = g_file_open_tmp ("dscore-XXXXXX.ini", &path, &error);
  g_assert_no_error (error);
  close (descriptor);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
  return path;
}

static DscoreConfig *
load (const char *text, const char *const *settings, const char *const *environment, char **problem)
{
  g_autofree char *path = text == NULL ? NULL : file_with (text);
  g_autoptr (GError) error = NULL;
  DscoreConfig *config = dscore_config_load_full (path, settings, environment, &error);
  if (path != NULL)
    g_unlink (path);
  g_assert_true ((config == NULL) == (error != NULL));
  if (error != NULL)
    {
      g_assert_error (error, DSCORE_ERROR, DSCORE_ERROR_CONFIG);
      g_auto (GStrv) parts = g_strsplit (error->message, path != NULL ? path : "\a", -1);
      *problem = g_strjoinv ("FILE", parts);
    }
  return config;
}

/* The file of the contract, as it stands there. */
static const char contract[] = "# websocket_config.txt에 추가할 설정\n[websocket]\n# ... 기존 설정 ...\n\n# Health check 관련 설정\n"
                               "health_check_interval_sec=30\nhealth_check_timeout_sec=5\nhealth_check_enabled=true\n\n"
                               "# Graceful shutdown 설정  \ngraceful_shutdown_timeout_sec=10\npipeline_stop_timeout_sec=5\n\n"
                               "# 재연결 전략 설정\nexponential_backoff_enabled=true\nmax_reconnect_delay_sec=60\n"
                               "server_shutdown_retry_delay_sec=10\n";

static void
test_defaults_are_the_contract_s (void)
{
  char *problem = NULL;
  g_autoptr (DscoreConfig) config = load (contract, NULL, NULL, &problem);
  g_autoptr (DscoreConfig) bare = load (NULL, NULL, NULL, &problem);
  g_assert_cmpstr (dscore_config_get_url (config), ==, "ws://127.0.0.1:8765/deepstream/ws");
  g_assert_cmpint (dscore_config_get_graceful_shutdown_timeout (config), ==, 10 * G_USEC_PER_SEC);
  g_assert_cmpint (dscore_config_get_pipeline_stop_timeout (config), ==, 5 * G_USEC_PER_SEC);
  g_assert_cmpint (config->health_check_interval, ==, 30 * G_USEC_PER_SEC);
  g_assert_cmpmem (&config->reconnect, sizeof config->reconnect, &bare->reconnect, sizeof bare->reconnect);
  g_assert_cmpint (config->health_check_timeout, ==, bare->health_check_timeout);
  g_assert_nonnull (strchr (dscore_config_get_instance_id (config), '-'));
}

static void
test_order_of_sources (void)
{
  char *problem = NULL;
  const char *const settings[] = { "url = ws://flag", NULL };
  const char *const environment[] = { "DSCORE_AGENT_URL=ws://variable", "DSCORE_AGENT_TOKEN=t", "OTHER=x", NULL };
  const char *text = "[websocket]\nurl=ws://file\ninstance_id=a-1\nws_retry_total=3\n";
  g_autoptr (DscoreConfig) all = load (text, settings, environment, &problem);
  g_assert_cmpstr (all->url, ==, "ws://flag/deepstream/ws");
  g_assert_cmpstr (all->token, ==, "t");
  g_assert_cmpstr (all->instance_id, ==, "a-1");
  g_autoptr (DscoreConfig) two = load (text, NULL, environment, &problem);
  g_assert_cmpstr (two->url, ==, "ws://variable/deepstream/ws");
  /* Another kind of the same thing wins as well. */
  g_autofree char *token = file_with ("# comment\n\n  secret \n");
  g_autofree char *variable = g_strconcat ("DSCORE_AGENT_TOKEN_FILE=", token, NULL);
  const char *const files[] = { variable, NULL };
  g_autoptr (DscoreConfig) three = load ("[websocket]\ntoken=old\n", NULL, files, &problem);
  g_unlink (token);
  g_assert_null (three->token);
  g_assert_cmpstr (three->token_file, ==, token);
}

static void
test_addresses (void)
{
  static const struct { const char *url, *whole, *authority, *health; guint port; } cases[] = {
    { "ws://a", "ws://a/deepstream/ws", "a", "/deepstream/health", 80 },
    { "wss://a/", "wss://a/deepstream/ws", "a", "/deepstream/health", 443 },
    { "ws://[::1]:99", "ws://[::1]:99/deepstream/ws", "[::1]:99", "/deepstream/health", 99 },
    { "ws://a:1/edge/deepstream/ws?x=1", "ws://a:1/edge/deepstream/ws?x=1", "a:1", "/edge/deepstream/health", 1 },
    { "ws://a/ws", "ws://a/ws", "a", "/health", 80 },
    { "ws://a/x/y/", "ws://a/x/y/", "a", "/x/health", 80 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      char *problem = NULL;
      g_autofree char *setting = g_strconcat ("url=", cases[i].url, NULL);
      const char *const settings[] = { setting, NULL };
      g_autoptr (DscoreConfig) config = load (NULL, settings, NULL, &problem);
      g_assert_cmpstr (config->url, ==, cases[i].whole);
      g_assert_cmpstr (config->authority, ==, cases[i].authority);
      g_assert_cmpstr (config->health_target, ==, cases[i].health);
      g_assert_cmpuint (config->port, ==, cases[i].port);
    }
}

static void
test_problems_name_their_place (void)
{
  static const struct { const char *text, *problem; } cases[] = {
    { "[websocket]\nurl=http://a\n", "FILE:2: url: must be an address such as ws://127.0.0.1:8765/deepstream/ws, not 'http://a'" },
    { "[websocket]\nurl=ws://me:secret@a\n", "FILE:2: url: must hold no user and password: use token or token_file" },
    { "[websocket]\nurl=ws://me@a\n", "FILE:2: url: must hold no user and password: use token or token_file" },
    { "[websocket]\nmax_reconect_delay_sec=3\n", "FILE:2: max_reconect_delay_sec: did you mean max_reconnect_delay_sec?" },
    { "[websocket]\nhealth_check_enabled=maybe\n", "FILE:2: health_check_enabled: must be true or false, not 'maybe'" },
    { "[websocket]\nping_interval_sec=0\n", "FILE:2: ping_interval_sec: must be a number of seconds above 0, not '0'" },
    { "[websocket]\nping_interval_sec=0x5\n", "FILE:2: ping_interval_sec: must be a number of seconds above 0, not '0x5'" },
    { "[websocket]\nping_timeout_sec=nan\n", "FILE:2: ping_timeout_sec: must be a number of seconds above 0, not 'nan'" },
    { "[websocket]\noutbox_limit=1.5\n", "FILE:2: outbox_limit: must be a whole number from 1 to 1000000, not '1.5'" },
    { "[websocket]\napp_config=[1]\n", "FILE:2: app_config: must be a JSON object such as {\"site\": \"north\"}" },
    { "[websocket]\nca_file=/nowhere\n", "FILE:2: ca_file: there is no file /nowhere" },
    { "[websocket]\nserver_fingerprints=AB:CD\n",
      "FILE:2: server_fingerprints: abcd is no SHA-256 of a certificate: 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them" },
    { "[websocket]\ndialect=socketio\n", "FILE:2: dialect: the C client speaks raw; the Python agent speaks socketio" },
    { "[websocket]\nproxy=https://a\n", "FILE:2: proxy: must be none, or an address such as http://proxy.example:3128" },
    { "[websocket]\npipeline_reports=error, woe\n",
      "FILE:2: pipeline_reports: there are error, warning, eos, stream_added, stream_removed, stream_eos, not woe" },
    { "[websocket]\nurl=ws://a/socket.io/\n", "url: /socket.io/ is for dialect=socketio; leave the path out" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *problem = NULL;
      g_assert_null (load (cases[i].text, NULL, NULL, &problem));
      g_assert_cmpstr (problem, ==, cases[i].problem);
    }
  g_autofree char *problem = NULL;
  const char *const settings[] = { "retries=3", "nothing", NULL };
  const char *const environment[] = { "DSCORE_AGENT_URLS=ws://a", NULL };
  g_assert_null (load (NULL, settings, environment, &problem));
  g_assert_cmpstr (problem, ==, "DSCORE_AGENT_URLS: unknown setting, did you mean DSCORE_AGENT_URL?\n"
                                "command line: retries: unknown setting; docs/agent.md lists them\ncommand line: nothing: write key=value");
  /* Under the address sanitizer: no byte behind the name is read. */
  g_autofree char *cut = NULL;
  const char *const cut_settings[] = { "\xfc=1", NULL };
  g_assert_null (load (NULL, cut_settings, NULL, &cut));
  g_assert_cmpstr (cut, ==, "command line: \xfc: unknown setting; docs/agent.md lists them");
}

static void
test_files_that_are_none (void)
{
  g_autofree char *pipe = file_with ("");
  g_autofree char *great = g_strnfill (DSCORE_CONFIG_BYTES + 1, '\n');
  g_autofree char *long_one = file_with (great);
  g_unlink (pipe);
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  const char *const cases[][2] = { { pipe, "it is not a regular file" },
                                   { "/dev/zero", "it is not a regular file" },
                                   { "/tmp", "it is not a regular file" },
                                   { "/nowhere", "no such file or directory" },
                                   { long_one, "it has more than 262144 bytes" } };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *words = g_strdup_printf ("cannot read %s: %s", cases[i][0], cases[i][1]);
      g_assert_null (dscore_config_load_full (cases[i][0], NULL, NULL, &error));
      g_assert_cmpstr (error->message, ==, words);
    }
  g_unlink (pipe);
  g_unlink (long_one);
}

static void
test_a_file_of_as_many_settings_as_it_can_hold (void)
{
  g_autoptr (GString) text = g_string_new ("[websocket]\n");
  for (guint i = 0; text->len < DSCORE_CONFIG_BYTES - 16; i++)
    g_string_append_printf (text, "%x=\n", i);
  char *problem = NULL;
  g_autoptr (DscoreConfig) config = load (text->str, NULL, NULL, &problem);
  g_assert_nonnull (config);
}

static void
test_identity (void)
{
  g_autofree char *path = file_with ("0123456789abcdef\n");
  const char *const ids[] = { "/nowhere", path, NULL };
  g_autofree char *one = dscore_default_instance_id ("host", ids);
  /* By Python's agent. */
  g_assert_cmpstr (one, ==, "host-deba25a4");
  g_autofree char *name = g_strnfill (300, 'h');
  g_autofree char *cut = dscore_default_instance_id (name, ids);
  g_assert_cmpuint (strlen (cut), ==, 109);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/defaults", test_defaults_are_the_contract_s);
  g_test_add_func ("/config/order", test_order_of_sources);
  g_test_add_func ("/config/addresses", test_addresses);
  g_test_add_func ("/config/problems", test_problems_name_their_place);
  g_test_add_func ("/config/files_that_are_none", test_files_that_are_none);
  g_test_add_func ("/config/a_file_of_as_many_settings_as_it_can_hold", test_a_file_of_as_many_settings_as_it_can_hold);
  g_test_add_func ("/config/identity", test_identity);
  return g_test_run ();
}
