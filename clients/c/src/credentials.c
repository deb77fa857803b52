/* Tokens are rotated and certificates renewed while a pipeline records for months: read anew before each attempt. */
#include "credentials.h"

static void
add_file (GChecksum *checksum, const char *path)
{
  g_autofree char *content = NULL;
  gsize size = 0;
  if (path != NULL)
    g_file_get_contents (path, &content, &size, NULL); /* what is wrong with it, TLS says */
  g_checksum_update (checksum, (const guchar *) &size, sizeof size);
  if (size > 0)
    g_checksum_update (checksum, (const guchar *) content, (gssize) size);
}

static gboolean
read_token (DscoreCredentials *self, DscoreConfig *config, GError **error)
{
  char *problem = NULL;
  self->token = config->token_file == NULL ? g_strdup (config->token) : dscore_read_token (config->token_file, &problem);
  if (problem == NULL)
    return TRUE;
  g_set_error (error, DSCORE_ERROR, DSCORE_ERROR_CONFIG, "token_file: %s", problem);
  g_free (problem);
  return FALSE;
}

static gboolean
explain (GError **error, GError *cause, const char *setting, const char *path)
{
  g_set_error (error, DSCORE_ERROR, DSCORE_ERROR_CONFIG, "%s: cannot use %s: %s", setting, path, cause->message);
  g_error_free (cause);
  return FALSE;
}

static gboolean
read_tls (DscoreCredentials *self, DscoreConfig *config, GError **error)
{
  GError *cause = NULL;
  if (config->ca_file != NULL)
    {
      self->database = g_tls_file_database_new (config->ca_file, &cause);
      if (self->database == NULL)
        return explain (error, cause, "ca_file", config->ca_file);
    }
  if (config->cert_file != NULL)
    {
      self->certificate = config->key_file == NULL ? g_tls_certificate_new_from_file (config->cert_file, &cause)
                                                   : g_tls_certificate_new_from_files (config->cert_file, config->key_file, &cause);
      if (self->certificate == NULL)
        return explain (error, cause, "cert_file", config->cert_file);
    }
  return TRUE;
}

DscoreCredentials *
dscore_credentials_read (DscoreConfig *config, GError **error)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (DscoreCredentials) self = g_new0 (DscoreCredentials, 1);
  g_atomic_ref_count_init (&self->refs);
  if (!read_token (self, config, error))
    return NULL;
  g_checksum_update (checksum, (const guchar *) (self->token != NULL ? self->token : ""), -1);
  if (config->is_secure)
    {
      const char *const files[] = { config->ca_file, config->cert_file, config->key_file };
      for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
        add_file (checksum, files[i]);
      if (!read_tls (self, config, error))
        return NULL;
    }
  self->digest = g_strdup (g_checksum_get_string (checksum));
  return g_steal_pointer (&self);
}

static void
read_in_thread (GTask *task, gpointer source, gpointer config, GCancellable *cancellable)
{
  GError *error = NULL;
  DscoreCredentials *read = dscore_credentials_read (config, &error);
  if (read == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, read, (GDestroyNotify) dscore_credentials_unref);
}

void
dscore_credentials_read_async (DscoreConfig *config, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  g_task_set_task_data (task, g_object_ref (config), g_object_unref);
  /* A disk that hangs is not waited for. */
  g_task_set_return_on_cancel (task, TRUE);
  g_task_run_in_thread (task, read_in_thread);
}

DscoreCredentials *
dscore_credentials_read_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

DscoreCredentials *
dscore_credentials_ref (DscoreCredentials *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
dscore_credentials_unref (DscoreCredentials *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->refs))
    return;
  g_free (self->token);
  g_clear_object (&self->database);
  g_clear_object (&self->certificate);
  g_free (self->digest);
  g_free (self);
}
