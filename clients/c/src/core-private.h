#pragma once

#include "alarm.h"
#include "core.h"
#include "link.h"
#include "log.h"
#include "outbox.h"
#include "requests.h"
#include "signals.h"
#include "worker.h"


G_BEGIN_DECLS

#define DSCORE_CORE_UNKNOWN_EXIT (-1) /* it is not over yet */

/* Its caller holds it, too: it may be replaced meanwhile. */
typedef struct {
  DscoreStopFunc func;
  gpointer data;
  GDestroyNotify destroy;
} DscoreStopHook;

void dscore_stop_hook_unref (DscoreStopHook *hook);

/* core.c holds it, life.c has what happens in the worker, calls.c the calls from any thread. */
struct _DscoreCore {
  gatomicrefcount refs;
  int process; /* atomic; whose worker it is: after a fork() the child has none. 0: it was not started */
  DscoreConfig *config;
  DscoreEmitter *emitter;
  DscoreOutbox outbox;
  DscoreWorker worker;

  GMutex lock; /* of what follows, up to the line */
  DscoreStatus status;
  gboolean is_started;
  gboolean is_closed; /* asked to close: one whose start fails at the same time is over */
  gboolean is_terminating;
  int exit_code;
  DscoreStopHook *stop; /* NULL: there is none */
  char *farewell; /* what the server is told when this end closes the connection */
  /* ---- of the worker alone */
  DscoreCredentials *credentials;
  DscoreConversation *conversation;
  DscoreLink *link;
  DscoreTermination *termination;
  DscoreRequests requests;
  DscoreLogLimit dropped; /* of lines about messages that found no loop that turns */
  DscoreAlarm *deadline; /* of the termination, then of the server's hanging up */
  DscoreSignals signals;
  gboolean is_leaving; /* the server shuts down */
  gboolean is_answered;
  gboolean is_finished;
};

/* The record as the data of a source, a sink or a thread. */
gpointer dscore_core_ref_data (gpointer core);
void dscore_core_unref_data (gpointer core);

G_END_DECLS
