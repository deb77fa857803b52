/* Tokens are rotated and certificates renewed while a pipeline records for months: read anew before each attempt. */
#include "credentials.h"

#include "file.h"

#include <string.h>

typedef struct {
  const char *begin;
  const char *words;
} Content;

static const Content certificates = { "-----BEGIN CERTIFICATE-----", "certificate" };
static const Content keys = { "PRIVATE KEY-----", "private key" }; /* before it stands of which kind */

/* What the settings for TLS name, as text; NULL: nothing. */
typedef struct {
  char *ca;
  char *certificate;
  char *key;
} Files;

static void
files_clear (Files *files)
{
  char *texts[] = { files->ca, files->certificate, files->key };
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (texts[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Files, files_clear)

static gboolean
fail (GError **error, const char *setting, const char *path, const char *cause)
{
  g_set_error (error, DSCORE_ERROR, DSCORE_ERROR_CONFIG, "%s: cannot use %s: %s", setting, path, cause);
  return FALSE;
}

static gboolean
explain (GError **error, GError *cause, const char *setting, const char *path)
{
  fail (error, setting, path, cause->message);
  g_error_free (cause);
  return FALSE;
}

static gboolean
read_file (char **text, const char *setting, const char *path, const Content *held, GError **error)
{
  if (path == NULL)
    return TRUE;
  g_autofree char *problem = NULL;
  gsize size;
  *text = dscore_file_read (path, DSCORE_CERTIFICATE_BYTES, &size, &problem);
  if (*text == NULL)
    return fail (error, setting, path, problem);
  if (strstr (*text, held->begin) != NULL)
    return TRUE;
  problem = g_strdup_printf ("there is no %s in it (PEM)", held->words);
  return fail (error, setting, path, problem);
}

/* Whatever the address: a wrong file is to be known before the day on which it becomes wss://. */
static gboolean
read_files (Files *files, DscoreConfig *config, GError **error)
{
  if (!read_file (&files->ca, "ca_file", config->ca_file, &certificates, error) ||
      !read_file (&files->certificate, "cert_file", config->cert_file, &certificates, error) ||
      !read_file (&files->key, "key_file", config->key_file, &keys, error))
    return FALSE;
  if (config->cert_file != NULL && files->key == NULL && strstr (files->certificate, keys.begin) == NULL)
    return fail (error, "cert_file", config->cert_file, "there is no private key in it: set key_file");
  return TRUE;
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
make_tls (DscoreCredentials *self, DscoreConfig *config, const Files *files, GError **error)
{
  GError *cause = NULL;
  if (files->ca != NULL)
    {
      /* GIO makes one of a file alone. */
      self->database = g_tls_file_database_new (config->ca_file, &cause);
      if (self->database == NULL)
        return explain (error, cause, "ca_file", config->ca_file);
    }
  if (files->certificate != NULL)
    {
      /* The first key counts: that of the key's own file. */
      g_autofree char *text = g_strconcat (files->key != NULL ? files->key : "", "\n", files->certificate, NULL);
      self->certificate = g_tls_certificate_new_from_pem (text, -1, &cause);
      if (self->certificate == NULL)
        return explain (error, cause, "cert_file", config->cert_file);
    }
  return TRUE;
}

static char *
digest_of (DscoreCredentials *self, const Files *files)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  const char *texts[] = { self->token, files->ca, files->certificate, files->key };
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      gsize size = texts[i] == NULL ? 0 : strlen (texts[i]);
      g_checksum_update (checksum, (const guchar *) &size, sizeof size);
      if (size > 0)
        g_checksum_update (checksum, (const guchar *) texts[i], (gssize) size);
    }
  return g_strdup (g_checksum_get_string (checksum));
}

DscoreCredentials *
dscore_credentials_read (DscoreConfig *config, GError **error)
{
  g_auto (Files) files = { NULL, NULL, NULL };
  g_autoptr (DscoreCredentials) self = g_new0 (DscoreCredentials, 1);
  g_atomic_ref_count_init (&self->refs);
  if (!read_token (self, config, error) || !read_files (&files, config, error))
    return NULL;
  if (config->is_secure && !make_tls (self, config, &files, error))
    return NULL;
  self->digest = digest_of (self, &files);
  return g_steal_pointer (&self);
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
