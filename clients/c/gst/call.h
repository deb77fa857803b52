/* A call that may hang, in a thread of its own: what waits for it has a bound. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _DscoreCall DscoreCall;

/* Starts `func (data, call)` in a thread of its own. The last reference frees `data`; the thread holds one while it runs. */
DscoreCall *dscore_call_start (const char *name, GFunc func, gpointer data, GDestroyNotify destroy);
DscoreCall *dscore_call_ref (DscoreCall *call);
void        dscore_call_unref (DscoreCall *call);

/* FALSE: no thread could be made, and none will be. */
gboolean    dscore_call_has_begun (DscoreCall *call);
gboolean    dscore_call_is_done (DscoreCall *call);

/* Waits until the call has returned, or until `deadline` (of g_get_monotonic_time). FALSE: it has not returned. */
gboolean    dscore_call_wait (DscoreCall *call, gint64 deadline);

/* Waits until the call has returned, however long that is. FALSE: it has not begun. */
gboolean    dscore_call_join (DscoreCall *call);

/* Its outcome is of no use any more: a call that waits in steps may look, and return. */
void        dscore_call_abandon (DscoreCall *call);
gboolean    dscore_call_is_abandoned (DscoreCall *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreCall, dscore_call_unref)

G_END_DECLS
