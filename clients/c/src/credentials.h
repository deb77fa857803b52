#pragma once

#include "config-private.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/* What is shown to the server, and whom the agent trusts: one reading, never changed. */
typedef struct {
  gatomicrefcount refs; /* a reading that comes too late is dropped in its thread */
  char *token;                  /* NULL: none */
  GTlsDatabase *database;       /* NULL: the system's, or no TLS */
  GTlsCertificate *certificate; /* NULL: none */
  char *digest;                 /* of all that was read: two that differ are different credentials */
} DscoreCredentials;

/* Reads the token file, the certificates and the key. Blocks. */
DscoreCredentials *dscore_credentials_read (DscoreConfig *config, GError **error);

DscoreCredentials *dscore_credentials_ref (DscoreCredentials *self);
void dscore_credentials_unref (DscoreCredentials *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreCredentials, dscore_credentials_unref)

G_END_DECLS
