#pragma once

#include "core.h"

G_BEGIN_DECLS

/* SIGTERM and SIGINT stop the application, SIGUSR1 writes the state. Of the worker's thread; all zero at first. */
typedef struct {
  GSource *sources[3];
  gint64 interrupted_at; /* 0: not yet */
  DscoreCore *core;      /* not held: it holds this */
} DscoreSignals;

void dscore_signals_watch (DscoreSignals *self, GMainContext *context, DscoreCore *core);
void dscore_signals_drop (DscoreSignals *self);

G_END_DECLS
