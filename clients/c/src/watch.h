#pragma once

#include "health.h"
#include "renewal.h"

G_BEGIN_DECLS

/* Looks at the server's health now and then while connected: a shutdown is heard of even where no message of it comes. */
typedef struct _DscoreWatch DscoreWatch;

typedef struct {
  void (*looks) (gpointer owner); /* what else is due about now may go along */
  void (*looked) (gpointer owner, const DscoreLook *look);
} DscoreWatchSink;

DscoreWatch *dscore_watch_new (DscoreConfig *config, GMainContext *context, DscoreRenewal *renewal, const DscoreWatchSink *sink,
                               gpointer owner);
void dscore_watch_free (DscoreWatch *self);
/* Nothing where the settings ask nothing of it. */
void dscore_watch_start (DscoreWatch *self);
void dscore_watch_stop (DscoreWatch *self);

G_END_DECLS
