#pragma once

#include "credentials.h"
#include "message.h"

G_BEGIN_DECLS

/* One WebSocket to the server: whole messages in and out, kept alive, and one way to end. Of the thread of its context. */
typedef struct _DscoreSocket DscoreSocket;

/* What becomes of it: `failed`, or `opened` and in the end `ended`, each once. Either of the last two ends all calls; the
 * socket may be freed in any of them. */
typedef struct {
  void (*opened) (gpointer owner);
  void (*failed) (gpointer owner, const char *reason, double retry_after); /* retry_after: seconds, -1: none */
  void (*message) (gpointer owner, const char *data, gsize size, gboolean is_text);
  void (*writable) (gpointer owner); /* a full one takes messages again */
  void (*ended) (gpointer owner, guint code, const char *reason);
} DscoreSocketSink;

extern const DscoreMessageLimits dscore_socket_limits;

DscoreSocket *dscore_socket_open (DscoreConfig *config, DscoreCredentials *credentials, const DscoreMessageLimits *limits,
                                  GMainContext *context, const DscoreSocketSink *sink, gpointer owner);
/* Neither side has begun to close. */
gboolean dscore_socket_is_open (const DscoreSocket *self);
/* A message sent now would not wait behind many others. */
gboolean dscore_socket_is_writable (const DscoreSocket *self);
void dscore_socket_send (DscoreSocket *self, gconstpointer data, gsize size, gboolean is_text);
/* The server will be asked something in so long that it answers: no ping needs to go out before, where that is soon enough. */
void dscore_socket_expect (DscoreSocket *self, gint64 question_us);
/* Begins the closing handshake; `ended` comes within DSCORE_CLOSE_US. */
void dscore_socket_close (DscoreSocket *self, guint code, const char *reason);
/* Ends it at once. */
void dscore_socket_abort (DscoreSocket *self, const char *reason);
void dscore_socket_free (DscoreSocket *self);

/* For the other side's half of the closing handshake. */
#define DSCORE_CLOSE_US (2 * G_USEC_PER_SEC)

G_END_DECLS
