#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define DSCORE_JSON_DEPTH 64
#define DSCORE_JSON_BYTES (64u * 1024 * 1024) /* of memory, about, for the values of one text */

/* NULL: strict JSON (RFC 8259) that json-glib reads without surprise; else what is wrong with it. */
const char *dscore_json_fault (const char *text, gsize size);

/* The object in a text; NULL with an error of DSCORE_ERROR_MESSAGE. `text` is NUL-terminated after `size` bytes; `bytes`, which may be
 * NULL, is what the object takes of memory, about. */
JsonObject *dscore_json_object (const char *text, gsize size, gsize *bytes, GError **error);

/* Compact text of an object. */
char *dscore_json_text (JsonObject *object, gsize *size);

/* The string member of that name, NULL: there is none, or it is no string. */
const char *dscore_json_string (JsonObject *object, const char *name);
gboolean dscore_json_is_true (JsonObject *object, const char *name);
/* Seconds of a member that holds a finite number of milliseconds that is not negative; else -1. */
double dscore_json_milliseconds (JsonObject *object, const char *name);

G_END_DECLS
