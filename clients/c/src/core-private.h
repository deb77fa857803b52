#pragma once

#include "alarm.h"
#include "core.h"
#include "link.h"
#include "outbox.h"
#include "requests.h"
#include "signals.h"
#include "worker.h"

G_BEGIN_DECLS

/* core.c has the calls from any thread, life.c what happens in the worker. */
struct _DscoreCore {
  gatomicrefcount refs;
  DscoreConfig *config;
  DscoreEmitter *emitter;
  DscoreOutbox outbox;
  DscoreWorker worker;

  GMutex lock; /* of what follows, up to the line */
  DscoreStatus status;
  gboolean is_started;
  gboolean is_terminating;
  int exit_code;
  DscoreStopFunc stop_func;
  gpointer stop_data;
  GDestroyNotify stop_destroy;
  char *farewell; /* what the server is told when this end closes the connection */
  /* ---- of the worker alone */
  DscoreCredentials *credentials;
  DscoreConversation *conversation;
  DscoreLink *link;
  DscoreTermination *termination;
  DscoreRequests requests;
  DscoreAlarm *deadline; /* of the termination, then of the server's hanging up */
  DscoreSignals signals;
  gboolean is_leaving; /* the server shuts down */
  gboolean is_answered;
  gboolean is_finished;
};

/* Of the worker: the start of its loop, and after its end. */
void dscore_life_begin (gpointer core);
void dscore_life_end (gpointer core);

/* Sources of the worker; `data` is a core, or what holds one. */
gboolean dscore_life_flush (gpointer core);
gboolean dscore_life_close (gpointer core);
void dscore_life_terminate (DscoreCore *core, const char *request_id, const char *reason);

G_END_DECLS
