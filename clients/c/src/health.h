#pragma once

#include "credentials.h"

G_BEGIN_DECLS

/* One answer of the health page, and why there is none. */
typedef struct {
  DscoreHealth health;
  char *reason;       /* for the log */
  int is_connected;   /* the instance that was asked about; -1: not said */
  double retry_after; /* seconds; -1: none */
} DscoreLook;

void dscore_look_free (DscoreLook *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreLook, dscore_look_free)

/* Asks once, within the setting's timeout; an answer always comes. `about`: the instance that is asked about, or NULL. */
void dscore_health_look_async (DscoreConfig *config, DscoreCredentials *credentials, const char *about, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer data);
/* NULL only when it was cancelled. */
DscoreLook *dscore_health_look_finish (GAsyncResult *result);

G_END_DECLS
