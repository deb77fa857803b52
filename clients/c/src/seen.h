#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The last 1,000 ids of messages (PROTOCOL §7): after a crash of the server a kept one may come twice. */
typedef struct {
  GHashTable *ids; /* the id → its link in `order` */
  GQueue order;
} DscoreSeen;

void dscore_seen_init (DscoreSeen *self);
void dscore_seen_clear (DscoreSeen *self);
/* Whether this id was among the last; from now on it is. NULL never is. */
gboolean dscore_seen_is_repeated (DscoreSeen *self, const char *id);

G_END_DECLS
