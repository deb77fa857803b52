#pragma once

#include <dscore-types.h>

G_BEGIN_DECLS

#define DSCORE_TYPE_TERMINATION (dscore_termination_get_type ())
/**
 * DscoreTermination:
 *
 * The application has to stop. There is one for the life of an agent, however often it is asked. Safe from any thread.
 */
DSCORE_API G_DECLARE_FINAL_TYPE (DscoreTermination, dscore_termination, DSCORE, TERMINATION, GObject)

DSCORE_API const char *dscore_termination_get_request_id (DscoreTermination *self);
DSCORE_API const char *dscore_termination_get_reason (DscoreTermination *self);
DSCORE_API DscoreIntent dscore_termination_get_intent (DscoreTermination *self);
DSCORE_API gint64 dscore_termination_get_deadline (DscoreTermination *self);
DSCORE_API gboolean dscore_termination_is_finished (DscoreTermination *self);
DSCORE_API void dscore_termination_progress (DscoreTermination *self, const char *stage, guint need_ms);
DSCORE_API void dscore_termination_finish (DscoreTermination *self, gboolean ok, const char *message);
DSCORE_API void dscore_termination_finish_incomplete (DscoreTermination *self, const char *message);

G_END_DECLS
