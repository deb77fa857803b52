#pragma once

#include "frame.h"
#include "utf8.h"

G_BEGIN_DECLS

/* Close codes (RFC 6455 §7.4.1, PROTOCOL §9). */
#define DSCORE_CLOSE_NORMAL 1000
#define DSCORE_CLOSE_GOING_AWAY 1001
#define DSCORE_CLOSE_PROTOCOL 1002
#define DSCORE_CLOSE_UNSUPPORTED 1003
#define DSCORE_CLOSE_NO_CODE 1005
#define DSCORE_CLOSE_CUT 1006
#define DSCORE_CLOSE_INVALID 1007
#define DSCORE_CLOSE_POLICY 1008
#define DSCORE_CLOSE_TOO_BIG 1009
#define DSCORE_CLOSE_TRY_LATER 1013

typedef struct {
  gsize max_message;   /* bytes, all fragments together */
  guint max_fragments; /* of one message: empty ones cost no bytes */
  gboolean binary;     /* binary messages are taken as well */
} DscoreMessageLimits;

/* What comes out of frames. Data is valid during the call; after `size` bytes stands a NUL. */
typedef struct {
  void (*message) (gpointer owner, const char *data, gsize size, gboolean is_text);
  void (*ping) (gpointer owner, const guint8 *data, gsize size);
  void (*close) (gpointer owner, guint code, const char *reason, const guint8 *payload, gsize size);
} DscoreMessageSink;

typedef struct _DscoreMessages DscoreMessages;

DscoreMessages *dscore_messages_new (const DscoreMessageLimits *limits, const DscoreMessageSink *sink, gpointer owner);
void dscore_messages_free (DscoreMessages *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreMessages, dscore_messages_free)

/* Takes bytes of the server. 0, or the close code for what is wrong with them, and `fault` the words. After a fault, or the
 * close frame, all that follows is dropped. */
guint dscore_messages_feed (DscoreMessages *self, const guint8 *data, gsize size, const char **fault);

gboolean dscore_close_code_is_valid (guint code);

G_END_DECLS
