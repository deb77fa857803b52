#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* scheme://[user[:password]@]host[:port][/path][?query]; GUri needs GLib 2.66. */
typedef struct {
  char *scheme;
  char *host;        /* without brackets */
  guint port;        /* 0: the scheme's */
  char *path;        /* may be empty */
  char *query;       /* NULL: none */
  gboolean has_user; /* with a password or without; neither is kept: a proxy's are GIO's business */
} DscoreUrl;

DscoreUrl *dscore_url_parse (const char *text);
void dscore_url_free (DscoreUrl *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreUrl, dscore_url_free)

G_END_DECLS
