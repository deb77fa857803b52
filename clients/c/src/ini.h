#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define DSCORE_INI_SECTION "websocket"

/* One `key=value` of the section. */
typedef struct {
  char *key;
  char *value;
  guint line;
} DscoreIniEntry;

/* The entries of `[websocket]` in a text, in order; what makes no sense goes to `problems` as `line: words`, with `name` before
 * it. Other sections belong to other programs. */
GPtrArray *dscore_ini_parse (const char *text, const char *name, GPtrArray *problems);

/* The same of a file; NULL: it cannot be read, which `problems` says. */
GPtrArray *dscore_ini_read (const char *path, GPtrArray *problems);

/* White space at both ends is removed, as Python's `strip` does. */
char *dscore_ini_strip (const char *text, gsize size);

G_END_DECLS
