#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Messages of the application on their way to the server: bounded, in order, from any thread. */
typedef struct {
  GMutex lock;
  GQueue messages; /* of GBytes */
  guint limit;
  gboolean refusing;
  gboolean closed;
  guint64 dropped;
} DscoreOutbox;

typedef enum {
  DSCORE_OUTBOX_TAKEN,
  DSCORE_OUTBOX_REFUSED,
  DSCORE_OUTBOX_CLOSED,
} DscoreOutboxResult;

void dscore_outbox_init (DscoreOutbox *self, guint limit);
void dscore_outbox_clear (DscoreOutbox *self);
/* Control messages are part of the protocol, and never refused while the agent lives. */
DscoreOutboxResult dscore_outbox_put (DscoreOutbox *self, GBytes *message, gboolean is_control);
GBytes *dscore_outbox_take (DscoreOutbox *self);
void dscore_outbox_refuse (DscoreOutbox *self, gboolean refusing);
void dscore_outbox_close (DscoreOutbox *self);
void dscore_outbox_count (DscoreOutbox *self, guint *queued, guint64 *dropped);

G_END_DECLS
