#pragma once

#include "dscore-termination.h"

G_BEGIN_DECLS

#define DSCORE_GRACEFUL "Application terminated gracefully"

/* How stopping went. */
typedef struct {
  gboolean ok;
  gboolean complete; /* stopped and complete are two facts (PROTOCOL §2) */
  char *message;
} DscoreAnswer;

DscoreAnswer *dscore_answer_new (gboolean ok, gboolean complete, const char *message);
void dscore_answer_free (DscoreAnswer *self);
int dscore_answer_exit_code (const DscoreAnswer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreAnswer, dscore_answer_free)

/* Where a termination reports to; both may be called in any thread, `finished` once. */
typedef struct {
  void (*finished) (gpointer owner, DscoreAnswer *answer); /* takes the answer */
  void (*progress) (gpointer owner, const char *stage, guint need_ms);
  gpointer (*ref) (gpointer owner);
  void (*unref) (gpointer owner);
} DscoreTerminationSink;

DscoreTermination *dscore_termination_new (const char *request_id, const char *reason, gint64 deadline,
                                           const DscoreTerminationSink *sink, gpointer owner);

G_END_DECLS
