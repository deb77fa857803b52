#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define DSCORE_MAX_RESPONSE_HEAD (64 * 1024)

/* The head of a response; names are in lower case, the values of equal names joined by a comma. */
typedef struct {
  guint status;
  GHashTable *fields;
} DscoreHead;

/* Reads a head that ends in an empty line. Takes what came so far, and says in `used` how much of it was the head.
 * NULL: not whole yet, or `fault` says what is wrong. */
DscoreHead *dscore_head_read (const char *data, gsize size, gsize *used, const char **fault);
void dscore_head_free (DscoreHead *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreHead, dscore_head_free)

const char *dscore_head_get (const DscoreHead *self, const char *name);

/* A word of a comma-separated field, whatever its case. */
gboolean dscore_head_has_word (const DscoreHead *self, const char *name, const char *word);

/* Seconds of a Retry-After (RFC 9110 §10.2.3) with 429 or 503; -1: none of use. */
double dscore_head_retry_after (const DscoreHead *self);

G_END_DECLS
