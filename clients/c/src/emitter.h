#pragma once

#include "dscore-termination.h"

G_BEGIN_DECLS

/* Has signals of the agent come in its owner's context. Safe from any thread; emits with no lock held. */
typedef struct _DscoreEmitter DscoreEmitter;

/* What is emitted, on the agent that is still there. */
typedef struct {
  void (*message) (gpointer agent, JsonObject *message);
  void (*terminate) (gpointer agent, DscoreTermination *termination);
  void (*exited) (gpointer agent, int code);
  void (*state) (gpointer agent);
  /* In the worker's thread. */
  gboolean (*has_terminate_handler) (gpointer agent);
} DscoreEmissions;

DscoreEmitter *dscore_emitter_new (gpointer agent, GMainContext *owner, const DscoreEmissions *emissions);
void dscore_emitter_unref (DscoreEmitter *self);
DscoreEmitter *dscore_emitter_ref (DscoreEmitter *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreEmitter, dscore_emitter_unref)

/* The agent, or NULL: it is gone. Unref it. */
gpointer dscore_emitter_dup_agent (DscoreEmitter *self);
gboolean dscore_emitter_has_terminate_handler (DscoreEmitter *self);

/* FALSE: too many, or too many bytes of memory, wait for a loop that does not turn, and it is dropped. */
gboolean dscore_emitter_message (DscoreEmitter *self, JsonObject *message, gsize bytes);
void dscore_emitter_terminate (DscoreEmitter *self, DscoreTermination *termination);
void dscore_emitter_exited (DscoreEmitter *self, int code);
void dscore_emitter_state (DscoreEmitter *self);

G_END_DECLS
