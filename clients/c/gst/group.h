/* Several pipelines that are stopped side by side: one that hangs takes no time of another one's. */
#pragma once

#include "attachment.h"
#include "stop.h"

G_BEGIN_DECLS

typedef struct _DscoreGroup DscoreGroup;

/* `deadline`, of g_get_monotonic_time(): by then every pipeline stands still or has been named. */
DscoreGroup *dscore_group_new (gint64 eos_timeout, gint64 deadline, DscoreStopProgress progress, gpointer progress_data);
void         dscore_group_free (DscoreGroup *group);

/* Begins to stop it, unless that has begun. Whether it has now. */
gboolean     dscore_group_stop (DscoreGroup *group, DscoreAttachment *attachment);
/* Waits until all have been stopped, or until the deadline. */
void         dscore_group_wait (DscoreGroup *group);

/* How it went, in the order in which they were given; free it. */
DscoreStopReport *dscore_group_report (DscoreGroup *group);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreGroup, dscore_group_free)

G_END_DECLS
