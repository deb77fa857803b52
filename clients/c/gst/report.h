/* Tells the server what happens in the pipelines, within measure. Safe from any thread. */
#pragma once

#include "events.h"

G_BEGIN_DECLS

typedef struct _DscoreReporter DscoreReporter;

/* Sends a message. FALSE: it was refused. */
typedef gboolean (*DscoreReportFunc) (gpointer data, JsonObject *message);

/* `kinds`: events of other kinds stay here; NULL: all do. The last reference frees `data`. */
DscoreReporter *dscore_reporter_new (const char *const *kinds, DscoreReportFunc send, gpointer data, GDestroyNotify destroy);
DscoreReporter *dscore_reporter_ref (DscoreReporter *reporter);
void            dscore_reporter_unref (DscoreReporter *reporter);

/* Sends the event, if it is to be sent; `now` of g_get_monotonic_time(). */
void            dscore_reporter_see (DscoreReporter *reporter, const DscorePipelineEvent *event, gint64 now);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreReporter, dscore_reporter_unref)

G_END_DECLS
