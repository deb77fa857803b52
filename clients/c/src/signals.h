#pragma once

#include "dscore-types.h"

G_BEGIN_DECLS

typedef struct {
  void (*stop) (gpointer owner, const char *name);
  DscoreStatus *(*dup_status) (gpointer owner);
} DscoreSignalsSink;

/* SIGTERM and SIGINT stop the application, SIGUSR1 writes the state. Of the worker's thread; all zero at first. */
typedef struct {
  GSource *sources[3];
  gint64 interrupted_at; /* 0: not yet */
  const DscoreSignalsSink *sink;
  gpointer owner; /* not held: it holds this */
} DscoreSignals;

void dscore_signals_watch (DscoreSignals *self, GMainContext *context, const DscoreSignalsSink *sink, gpointer owner);
void dscore_signals_drop (DscoreSignals *self);

G_END_DECLS
