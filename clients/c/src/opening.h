#pragma once

#include "credentials.h"

G_BEGIN_DECLS

/* A WebSocket on its way to being open: dialled, TLS where it is due, upgraded. Of the thread of its context. */
typedef struct _DscoreOpening DscoreOpening;

/* One of them comes, once; the opening is freed by its owner, in that call at the earliest. */
typedef struct {
  /* `rest`: what came after the head. Both streams are the callee's to ref. */
  void (*opened) (gpointer owner, GSocketConnection *connection, GIOStream *stream, const guint8 *rest, gsize size);
  void (*failed) (gpointer owner, const char *reason, double retry_after); /* retry_after: seconds, -1: none */
} DscoreOpeningSink;

DscoreOpening *dscore_opening_new (DscoreConfig *config, DscoreCredentials *credentials, GMainContext *context,
                                   const DscoreOpeningSink *sink, gpointer owner);
/* Abandons it, if it still runs. */
void dscore_opening_free (DscoreOpening *self);

G_END_DECLS
