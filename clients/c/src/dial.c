/* The way to the server. GSocketClient tries the addresses of a name side by side (RFC 8305).
 *
 * GIO's own look for proxies needs a library that edge machines do not have, and a timeout set on the client would stay on the
 * socket: both are off. */
#include "dial.h"

#include "url.h"

#include <string.h>

static gboolean
is_loopback (const char *host)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);
  if (address != NULL)
    return g_inet_address_get_is_loopback (address);
  return g_ascii_strcasecmp (host, "localhost") == 0 || g_str_has_suffix (host, ".localhost");
}

static const char *
variable (const char *const *environment, const char *name)
{
  g_autofree char *upper = g_ascii_strup (name, -1);
  const char *value = g_environ_getenv ((char **) environment, name);
  if (value == NULL || *value == '\0')
    value = g_environ_getenv ((char **) environment, upper);
  return value != NULL && *value != '\0' ? value : NULL;
}

/* A host that no_proxy names, or whose domain it names. */
static gboolean
is_bypassed (const char *host, const char *list)
{
  g_auto (GStrv) names = g_strsplit (list, ",", -1);
  for (char **name = names; *name != NULL; name++)
    {
      const char *suffix = g_strstrip (*name);
      if (strcmp (suffix, "*") == 0)
        return TRUE;
      while (*suffix == '.')
        suffix++;
      gsize size = strlen (suffix), host_size = strlen (host);
      if (size == 0 || size > host_size || g_ascii_strcasecmp (host + host_size - size, suffix) != 0)
        continue;
      if (size == host_size || host[host_size - size - 1] == '.')
        return TRUE;
    }
  return FALSE;
}

char *
dscore_proxy_for (const char *host, gboolean is_secure, const char *setting, const char *const *environment)
{
  if (setting != NULL)
    return strcmp (setting, "none") == 0 ? NULL : g_strdup (setting);
  /* What the environment says is not for this machine itself. */
  const char *bypass = variable (environment, "no_proxy");
  if (is_loopback (host) || (bypass != NULL && is_bypassed (host, bypass)))
    return NULL;
  const char *url = variable (environment, is_secure ? "https_proxy" : "http_proxy");
  if (url == NULL)
    url = variable (environment, "all_proxy");
  if (url == NULL)
    return NULL;
  return strstr (url, "://") != NULL ? g_strdup (url) : g_strconcat ("http://", url, NULL);
}

static void
on_connected (GObject *client, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  GError *error = NULL;
  GSocketConnection *connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (client), result, &error);
  if (connection == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, connection, g_object_unref);
}

static gboolean
use_proxy (GSocketClient *client, DscoreConfig *config, GError **error)
{
  g_autofree char *proxy = dscore_proxy_for (config->host, config->is_secure, config->proxy, (const char *const *) config->environment);
  g_socket_client_set_enable_proxy (client, proxy != NULL);
  if (proxy == NULL)
    return TRUE;
  g_autoptr (DscoreUrl) url = dscore_url_parse (proxy);
  if (url == NULL || strcmp (url->scheme, "http") != 0)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_PROXY_FAILED,
                           "the environment's proxy must be an address such as http://proxy.example:3128");
      return FALSE;
    }
  g_autoptr (GProxyResolver) resolver = g_simple_proxy_resolver_new (proxy, NULL);
  g_socket_client_set_proxy_resolver (client, resolver);
  return TRUE;
}

void
dscore_dial_async (DscoreConfig *config, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnectable) address = g_network_address_new (config->host, config->port);
  GError *error = NULL;
  if (!use_proxy (client, config, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  g_socket_client_connect_async (client, address, cancellable, on_connected, g_steal_pointer (&task));
}

GSocketConnection *
dscore_dial_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* GIO says only that it is unacceptable. */
static char *
fault_of_certificate (GTlsCertificateFlags errors)
{
  static const struct { GTlsCertificateFlags flag; const char *words; } faults[] = {
    { G_TLS_CERTIFICATE_UNKNOWN_CA, "no authority that is trusted here has signed it; ca_file names others" },
    { G_TLS_CERTIFICATE_BAD_IDENTITY, "it is of another name" },
    { G_TLS_CERTIFICATE_NOT_ACTIVATED, "it is not valid yet, if the clock here is right" },
    { G_TLS_CERTIFICATE_EXPIRED, "it has expired, if the clock here is right" },
    { G_TLS_CERTIFICATE_REVOKED, "it was revoked" },
    { G_TLS_CERTIFICATE_INSECURE, "its algorithm is not secure" },
  };
  g_autoptr (GPtrArray) found = g_ptr_array_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (faults); i++)
    if (errors & faults[i].flag)
      g_ptr_array_add (found, (gpointer) faults[i].words);
  g_ptr_array_add (found, NULL);
  g_autofree char *words = g_strjoinv ("; ", (char **) found->pdata);
  return g_strconcat ("the server's certificate is refused: ", *words != '\0' ? words : "it cannot be verified", NULL);
}

/* Whether the server has shown one of the certificates that it is known by, if it is known by any; NULL, or what it has shown (free it). */
static char *
other_fingerprint (DscoreConfig *config, GTlsConnection *tls)
{
  if (*config->server_fingerprints == NULL)
    return NULL;
  g_autoptr (GByteArray) der = NULL;
  GTlsCertificate *shown = g_tls_connection_get_peer_certificate (tls);
  if (shown != NULL)
    g_object_get (shown, "certificate", &der, NULL);
  g_autofree char *found = der == NULL ? g_strdup ("") : g_compute_checksum_for_data (G_CHECKSUM_SHA256, der->data, der->len);
  return g_strv_contains ((const char *const *) config->server_fingerprints, found) ? NULL : g_steal_pointer (&found);
}

static void
on_handshake (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  GError *error = NULL;
  if (g_tls_connection_handshake_finish (G_TLS_CONNECTION (source), result, &error))
    {
      g_autofree char *other = other_fingerprint (g_task_get_task_data (task), G_TLS_CONNECTION (source));
      if (other == NULL)
        g_task_return_pointer (task, g_object_ref (source), g_object_unref);
      else
        g_task_return_new_error (task, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE,
                                 "the server's certificate is none of server_fingerprints, its own is %s: was it renewed, or is it another server?", other);
    }
  else if (g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_NOT_TLS))
    {
      g_error_free (error);
      g_task_return_new_error (task, G_TLS_ERROR, G_TLS_ERROR_NOT_TLS, "it does not speak TLS; use ws://");
    }
  else if (g_error_matches (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
    {
      g_autofree char *words = fault_of_certificate (g_tls_connection_get_peer_certificate_errors (G_TLS_CONNECTION (source)));
      g_error_free (error);
      g_task_return_new_error (task, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, "%s", words);
    }
  else
    g_task_return_error (task, error);
}

void
dscore_secure_async (DscoreConfig *config, DscoreCredentials *credentials, GSocketConnection *connection, GCancellable *cancellable,
                     GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  if (!config->is_secure)
    {
      g_task_return_pointer (task, g_object_ref (connection), g_object_unref);
      return;
    }
  g_task_set_task_data (task, g_object_ref (config), g_object_unref);
  g_autoptr (GSocketConnectable) server = g_network_address_new (config->host, config->port);
  GError *error = NULL;
  /* Where ca_file says whom to trust, the distribution's authorities are not even read: that takes 8 MB. */
  g_autoptr (GIOStream) tls =
      g_initable_new (g_tls_backend_get_client_connection_type (g_tls_backend_get_default ()), NULL, &error, "base-io-stream", connection,
                      "server-identity", server, "use-system-certdb", credentials->database == NULL, NULL);
  if (tls == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  /* A server that closes without TLS's own goodbye has closed: the WebSocket has its own. */
  g_tls_connection_set_require_close_notify (G_TLS_CONNECTION (tls), FALSE);
  if (credentials->database != NULL)
    g_tls_connection_set_database (G_TLS_CONNECTION (tls), credentials->database);
  if (credentials->certificate != NULL)
    g_tls_connection_set_certificate (G_TLS_CONNECTION (tls), credentials->certificate);
  g_tls_connection_handshake_async (G_TLS_CONNECTION (tls), G_PRIORITY_DEFAULT, cancellable, on_handshake, g_steal_pointer (&task));
}

GIOStream *
dscore_secure_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
