#pragma once

#include "credentials.h"

G_BEGIN_DECLS

/* A TCP connection to the server, through a proxy where there is one. The caller bounds it, by the cancellable. */
void dscore_dial_async (DscoreConfig *config, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
GSocketConnection *dscore_dial_finish (GAsyncResult *result, GError **error);

/* TLS on it, where the address is wss; the connection itself otherwise. */
void dscore_secure_async (DscoreConfig *config, DscoreCredentials *credentials, GSocketConnection *connection,
                          GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
GIOStream *dscore_secure_finish (GAsyncResult *result, GError **error);

/* The proxy on the way, as a URL; NULL: none. `environment` as g_get_environ() has it. */
char *dscore_proxy_for (const char *host, gboolean is_secure, const char *setting, const char *const *environment);

G_END_DECLS
