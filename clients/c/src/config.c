/* The agent's settings: the DeepStream contract's `[websocket]` section, ours beside it, and their sources.
 *
 * The command line wins over `DSCORE_AGENT_*` variables, these over the file, the file over the defaults. Every problem names
 * its place: file and line, variable or setting. */
#include "config-private.h"

#include "identity.h"
#include "ini.h"
#include "url.h"

#include <string.h>

#define VARIABLES "DSCORE_AGENT_"
#define PATH "/deepstream/ws"

G_DEFINE_TYPE (DscoreConfig, dscore_config, G_TYPE_OBJECT)

static void
dscore_config_finalize (GObject *object)
{
  DscoreConfig *self = DSCORE_CONFIG (object);
  char *texts[] = { self->url, self->host, self->authority, self->target, self->health_target, self->instance_id, self->token,
                    self->token_file, self->ca_file, self->cert_file, self->key_file, self->proxy };
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (texts[i]);
  g_clear_pointer (&self->app_config, json_object_unref);
  g_strfreev (self->environment);
  g_strfreev (self->pipeline_reports);
  g_strfreev (self->server_fingerprints);
  G_OBJECT_CLASS (dscore_config_parent_class)->finalize (object);
}

static void
dscore_config_class_init (DscoreConfigClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = dscore_config_finalize;
}

static void
dscore_config_init (DscoreConfig *self)
{
  self->url = g_strdup ("ws://127.0.0.1:8765");
  self->app_config = json_object_new ();
  self->health_check_enabled = TRUE;
  self->health_check_interval = 30 * G_USEC_PER_SEC;
  self->health_check_timeout = 5 * G_USEC_PER_SEC;
  self->graceful_shutdown_timeout = 10 * G_USEC_PER_SEC;
  self->pipeline_stop_timeout = 5 * G_USEC_PER_SEC;
  self->reconnect = dscore_reconnect_defaults;
  self->ping_interval = 20 * G_USEC_PER_SEC;
  self->ping_timeout = 20 * G_USEC_PER_SEC;
  self->outbox_limit = 1000;
  self->max_message_size = 1000000;
  self->pipeline_reports = g_new0 (char *, 1);
  self->server_fingerprints = g_new0 (char *, 1);
}

/* A setting as it was written. */
typedef struct {
  const char *key;
  char *text;
  char *origin;
} Given;

static void
given_free (gpointer data)
{
  Given *given = data;
  g_free (given->text);
  g_free (given->origin);
  g_free (given);
}

/* By what it sets, not by name: a token file of the environment wins over the file's token. */
static const char *
slot_of (const DscoreSetting *setting)
{
  return strcmp (setting->key, "token_file") == 0 ? "token" : setting->key;
}

static void
choose (GHashTable *chosen, const DscoreSetting *setting, const char *text, char *origin)
{
  Given *given = g_new (Given, 1);
  given->key = setting->key;
  given->text = g_strdup (text);
  given->origin = origin;
  g_hash_table_insert (chosen, g_strdup (slot_of (setting)), given);
}

static void
add_problem (GPtrArray *problems, const char *origin, const char *key, char *problem)
{
  g_ptr_array_add (problems, g_strdup_printf ("%s: %s: %s", origin, key, problem));
  g_free (problem);
}

static char *
unknown (const char *key, const char *prefix)
{
  const char *meant = dscore_setting_nearest (key, 0.6);
  if (meant == NULL)
    return g_strdup ("unknown setting; docs/agent.md lists them");
  g_autofree char *written = *prefix == '\0' ? g_strdup (meant) : g_ascii_strup (meant, -1);
  return g_strdup_printf ("unknown setting, did you mean %s%s?", prefix, written);
}

static void
choose_file (GHashTable *chosen, const char *path, GPtrArray *problems)
{
  g_autoptr (GPtrArray) entries = dscore_ini_read (path, problems);
  for (guint i = 0; entries != NULL && i < entries->len; i++)
    {
      const DscoreIniEntry *entry = g_ptr_array_index (entries, i);
      const DscoreSetting *setting = dscore_setting_find (entry->key);
      g_autofree char *origin = g_strdup_printf ("%s:%u", path, entry->line);
      const char *meant;
      if (setting != NULL)
        choose (chosen, setting, entry->value, g_steal_pointer (&origin));
      else if ((meant = dscore_setting_nearest (entry->key, 0.8)) != NULL)
        /* Only what looks like a slip: the section may have keys of another program. */
        add_problem (problems, origin, entry->key, g_strdup_printf ("did you mean %s?", meant));
    }
}

static void
choose_environment (GHashTable *chosen, const char *const *environment, GPtrArray *problems)
{
  for (; *environment != NULL; environment++)
    {
      const char *equals = strchr (*environment, '=');
      if (!g_str_has_prefix (*environment, VARIABLES) || equals == NULL)
        continue;
      g_autofree char *name = g_strndup (*environment, (gsize) (equals - *environment));
      g_autofree char *key = g_ascii_strdown (name + strlen (VARIABLES), -1);
      const DscoreSetting *setting = dscore_setting_find (key);
      if (setting != NULL)
        choose (chosen, setting, equals + 1, g_steal_pointer (&name));
      else
        {
          g_autofree char *words = unknown (key, VARIABLES);
          g_ptr_array_add (problems, g_strdup_printf ("%s: %s", name, words));
        }
    }
}

static void
choose_settings (GHashTable *chosen, const char *const *settings, GPtrArray *problems)
{
  for (; *settings != NULL; settings++)
    {
      const char *equals = strchr (*settings, '=');
      g_autofree char *key = equals == NULL ? g_strdup (*settings) : dscore_ini_strip (*settings, (gsize) (equals - *settings));
      const DscoreSetting *setting = dscore_setting_find (key);
      if (equals == NULL || *key == '\0')
        add_problem (problems, "command line", *settings, g_strdup ("write key=value"));
      else if (setting == NULL)
        add_problem (problems, "command line", key, unknown (key, ""));
      else
        {
          g_autofree char *text = dscore_ini_strip (equals + 1, strlen (equals + 1));
          choose (chosen, setting, text, g_strdup ("command line"));
        }
    }
}

static void
apply (DscoreConfig *self, GHashTable *chosen, GPtrArray *problems)
{
  /* In the table's order, so that problems come in one order. */
  for (const DscoreSetting *setting = dscore_settings; setting->key != NULL; setting++)
    {
      const Given *given = g_hash_table_lookup (chosen, slot_of (setting));
      if (given == NULL || strcmp (given->key, setting->key) != 0)
        continue;
      gboolean is_text = g_utf8_validate (given->text, -1, NULL);
      char *problem = is_text ? setting->parse (given->text, G_STRUCT_MEMBER_P (self, setting->offset)) : g_strdup ("is not UTF-8");
      if (problem != NULL)
        add_problem (problems, given->origin, setting->key, problem);
    }
}

/* The page beside the WebSocket: /prefix/deepstream/ws has /prefix/deepstream/health. */
static char *
health_target (const char *path)
{
  gsize size = strlen (path);
  while (size > 0 && path[size - 1] == '/')
    size--;
  while (size > 0 && path[size - 1] != '/')
    size--;
  return g_strdup_printf ("%.*s/health", (int) MAX (size, 1) - 1, path);
}

char *
dscore_config_complete (DscoreConfig *self)
{
  g_autoptr (DscoreUrl) url = dscore_url_parse (self->url);
  if (url == NULL)
    return g_strdup_printf ("url: must be an address such as ws://127.0.0.1:8765" PATH ", not '%s'", self->url);
  if (g_str_has_suffix (url->path, "/socket.io") || g_str_has_suffix (url->path, "/socket.io/"))
    return g_strdup ("url: /socket.io/ is for dialect=socketio; leave the path out");
  gboolean bare = *url->path == '\0' || strcmp (url->path, "/") == 0;
  const char *path = bare ? PATH : url->path;
  self->is_secure = strcmp (url->scheme, "wss") == 0;
  self->host = g_strdup (url->host);
  self->port = (guint16) (url->port != 0 ? url->port : self->is_secure ? 443 : 80);
  g_autofree char *host = strchr (url->host, ':') != NULL ? g_strdup_printf ("[%s]", url->host) : g_strdup (url->host);
  self->authority = url->port == 0 ? g_strdup (host) : g_strdup_printf ("%s:%u", host, url->port);
  self->target = url->query == NULL ? g_strdup (path) : g_strconcat (path, "?", url->query, NULL);
  g_free (self->url);
  self->url = g_strdup_printf ("%s://%s%s", url->scheme, self->authority, self->target);
  self->health_target = health_target (path);
  if (self->key_file != NULL && self->cert_file == NULL)
    return g_strdup ("key_file: a key needs its cert_file");
  return NULL;
}

static void
set_error (GError **error, GPtrArray *problems)
{
  g_ptr_array_add (problems, NULL);
  g_autofree char *text = g_strjoinv ("\n", (char **) problems->pdata);
  g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_CONFIG, text);
}

/**
 * dscore_config_load:
 * @path: (nullable) (type filename): A file with a section `[websocket]`; %NULL: no file.
 * @error: Says what is wrong, a line for each problem.
 *
 * Reads the settings of one agent; variables `DSCORE_AGENT_*` of the environment win over the file.
 *
 * Returns: (transfer full): The settings, or %NULL.
 */
DscoreConfig *
dscore_config_load (const char *path, GError **error)
{
  g_auto (GStrv) environment = g_get_environ ();
  return dscore_config_load_full (path, NULL, (const char *const *) environment, error);
}

/**
 * dscore_config_load_full:
 * @path: (nullable) (type filename): A file with a section `[websocket]`; %NULL: no file.
 * @settings: (nullable) (array zero-terminated=1): Settings of a command line, `key=value`; these win over all others.
 * @environment: (nullable) (array zero-terminated=1): The environment, as g_get_environ() has it; %NULL: none of it.
 * @error: Says what is wrong, a line for each problem.
 *
 * Reads the settings of one agent.
 *
 * Returns: (transfer full): The settings, or %NULL.
 */
DscoreConfig *
dscore_config_load_full (const char *path, const char *const *settings, const char *const *environment, GError **error)
{
  g_autoptr (GPtrArray) problems = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) chosen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, given_free);
  g_autoptr (DscoreConfig) self = g_object_new (DSCORE_TYPE_CONFIG, NULL);
  static const char *const none[] = { NULL };
  if (path != NULL)
    choose_file (chosen, path, problems);
  choose_environment (chosen, environment != NULL ? environment : none, problems);
  choose_settings (chosen, settings != NULL ? settings : none, problems);
  apply (self, chosen, problems);
  char *problem = problems->len == 0 ? dscore_config_complete (self) : NULL;
  if (problem != NULL)
    g_ptr_array_add (problems, problem);
  if (problems->len > 0)
    {
      set_error (error, problems);
      return NULL;
    }
  if (self->instance_id == NULL)
    self->instance_id = dscore_default_instance_id (NULL, NULL);
  self->environment = g_strdupv ((char **) (environment != NULL ? environment : none));
  return g_steal_pointer (&self);
}

/**
 * dscore_config_get_url:
 * @self: Settings.
 *
 * `url`.
 *
 * Returns: (transfer none): Where the server listens for agents.
 */
const char *
dscore_config_get_url (DscoreConfig *self)
{
  g_return_val_if_fail (DSCORE_IS_CONFIG (self), NULL);
  return self->url;
}

/**
 * dscore_config_get_instance_id:
 * @self: Settings.
 *
 * `instance_id`; without it, what stands for the machine: host name and digits of the hashed machine id.
 *
 * Returns: (transfer none): The agent's name, alone in the fleet.
 */
const char *
dscore_config_get_instance_id (DscoreConfig *self)
{
  g_return_val_if_fail (DSCORE_IS_CONFIG (self), NULL);
  return self->instance_id;
}

/**
 * dscore_config_get_graceful_shutdown_timeout:
 * @self: Settings.
 *
 * `graceful_shutdown_timeout_sec`.
 *
 * Returns: Microseconds that the application has to stop.
 */
gint64
dscore_config_get_graceful_shutdown_timeout (DscoreConfig *self)
{
  g_return_val_if_fail (DSCORE_IS_CONFIG (self), 0);
  return self->graceful_shutdown_timeout;
}

/**
 * dscore_config_get_pipeline_stop_timeout:
 * @self: Settings.
 *
 * `pipeline_stop_timeout_sec`.
 *
 * Returns: Microseconds of it in which a pipeline has to reach its end of stream.
 */
gint64
dscore_config_get_pipeline_stop_timeout (DscoreConfig *self)
{
  g_return_val_if_fail (DSCORE_IS_CONFIG (self), 0);
  return self->pipeline_stop_timeout;
}

/**
 * dscore_config_get_pipeline_reports:
 * @self: Settings.
 *
 * `pipeline_reports`.
 *
 * Returns: (transfer none) (array zero-terminated=1): What is told to the server when it happens in the pipeline.
 */
const char *const *
dscore_config_get_pipeline_reports (DscoreConfig *self)
{
  g_return_val_if_fail (DSCORE_IS_CONFIG (self), NULL);
  return (const char *const *) self->pipeline_reports;
}

/**
 * dscore_config_get_pipeline_restart:
 * @self: Settings.
 *
 * `pipeline_restart`.
 *
 * Returns: Whether a pipeline that fails is built anew.
 */
gboolean
dscore_config_get_pipeline_restart (DscoreConfig *self)
{
  g_return_val_if_fail (DSCORE_IS_CONFIG (self), FALSE);
  return self->pipeline_restart;
}
