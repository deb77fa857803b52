#pragma once

#include "config-private.h"
#include "dscore-agent.h"
#include "emitter.h"

G_BEGIN_DECLS

/* The agent behind its GObject: the worker's thread and all that lives there. The two are apart so that the last unref of the
 * object ends the worker, which holds this and not the object. */
typedef struct _DscoreCore DscoreCore;

DscoreCore *dscore_core_new (DscoreConfig *config, DscoreEmitter *emitter);
DscoreCore *dscore_core_ref (DscoreCore *self);
void dscore_core_unref (DscoreCore *self);

/* Whether this process is a child of the agent's, which has no agent; `error` says so. Asked before anything that takes a lock. */
gboolean dscore_core_is_forked (const DscoreCore *self, GError **error);

void dscore_core_set_stop_func (DscoreCore *self, DscoreStopFunc func, gpointer data, GDestroyNotify destroy);
gboolean dscore_core_start (DscoreCore *self, GError **error);
gboolean dscore_core_send (DscoreCore *self, GBytes *text, const char *type, GError **error);
/* Has the application stop; `reason` is whose wish it was. */
void dscore_core_stop (DscoreCore *self, const char *reason);
/* Ends everything without asking the application; where it is being stopped already, the answer goes out first. Waits until
 * `timeout_us` from now, negative: for as long as it takes. The exit code, -1: it is not over yet. */
int dscore_core_close (DscoreCore *self, gint64 timeout_us, const char *farewell);
void dscore_core_watch_signals (DscoreCore *self);
/* Lets go of the thread; it frees itself. */
void dscore_core_detach (DscoreCore *self);
DscoreStatus *dscore_core_dup_status (DscoreCore *self);
DscoreConfig *dscore_core_config (DscoreCore *self);

G_END_DECLS
