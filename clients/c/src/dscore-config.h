#pragma once

#include <dscore-types.h>

G_BEGIN_DECLS

#define DSCORE_TYPE_CONFIG (dscore_config_get_type ())
/**
 * DscoreConfig:
 *
 * The settings of one agent, read once and never changed: the section `[websocket]` of an INI file, `DSCORE_AGENT_*` of the
 * environment, and settings of a command line. Safe from any thread.
 */
DSCORE_API G_DECLARE_FINAL_TYPE (DscoreConfig, dscore_config, DSCORE, CONFIG, GObject)

DSCORE_API DscoreConfig *dscore_config_load (const char *path, GError **error);
DSCORE_API DscoreConfig *dscore_config_load_full (const char *path, const char *const *settings, const char *const *environment,
                                                  GError **error);

DSCORE_API const char *dscore_config_get_url (DscoreConfig *self);
DSCORE_API const char *dscore_config_get_instance_id (DscoreConfig *self);
DSCORE_API gint64 dscore_config_get_graceful_shutdown_timeout (DscoreConfig *self);
DSCORE_API gint64 dscore_config_get_pipeline_stop_timeout (DscoreConfig *self);
DSCORE_API const char *const *dscore_config_get_pipeline_reports (DscoreConfig *self);
DSCORE_API gboolean dscore_config_get_pipeline_restart (DscoreConfig *self);

G_END_DECLS
