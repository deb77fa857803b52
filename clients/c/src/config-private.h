#pragma once

#include "dscore-config.h"
#include "reconnect.h"

G_BEGIN_DECLS

#define DSCORE_MAX_ID 128

/* Read once, never written again. Times are in microseconds. */
struct _DscoreConfig {
  GObject parent_instance;

  char *url;           /* ws:// or wss://, with its path */
  gboolean is_secure;
  char *host;          /* without the brackets of an IPv6 address */
  guint16 port;
  char *authority;     /* the value of Host */
  char *target;        /* path and query of the upgrade */
  char *health_target; /* of the health page, of the same server behind the same proxy */

  char *instance_id;
  char *token;
  char *token_file;
  char *ca_file;
  char **server_fingerprints; /* SHA-256 of certificates, hexadecimal in lower case; none: any that is trusted */
  char *cert_file;
  char *key_file;
  char *proxy; /* "none", an address, or NULL: the environment's */
  JsonObject *app_config;
  char **environment;

  gboolean health_check_enabled;
  gint64 health_check_interval;
  gint64 health_check_timeout;
  gint64 graceful_shutdown_timeout;
  gint64 pipeline_stop_timeout;
  DscoreReconnectPolicy reconnect;
  gint64 ping_interval;
  gint64 ping_timeout;
  guint outbox_limit;
  guint max_message_size;
  char **pipeline_reports;
  gboolean pipeline_restart;
};

/* The first line of a token file that is neither blank nor a comment; NULL with words in `problem`. */
char *dscore_read_token (const char *path, char **problem);

/* The settings by the names of the file, in settings.c; NULL, or what is wrong with the value (free it). */
typedef struct {
  const char *key;
  char *(*parse) (const char *text, gpointer field);
  gsize offset; /* of the field in DscoreConfig */
} DscoreSetting;

extern const DscoreSetting dscore_settings[];
const DscoreSetting *dscore_setting_find (const char *key);
/* The name of the setting that looks most like `key`, if any is as alike as `cutoff`. */
const char *dscore_setting_nearest (const char *key, double cutoff);

/* Takes the URL apart into the fields that follow from it; NULL, or what is wrong (free it). */
char *dscore_config_complete (DscoreConfig *self);

G_END_DECLS
