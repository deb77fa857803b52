#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A check of UTF-8 that stops at any byte and goes on with the next (RFC 3629); all zero at the start of a text. */
typedef struct {
  guint8 left; /* continuation bytes that must follow */
  guint8 low;  /* bounds of the next one */
  guint8 high;
} DscoreUtf8;

/* FALSE: this can be no UTF-8, whatever follows. */
gboolean dscore_utf8_check (DscoreUtf8 *self, const guint8 *data, gsize size);

/* No character is left half. */
gboolean dscore_utf8_is_whole (const DscoreUtf8 *self);

G_END_DECLS
