/* What still moves in a pipeline, and which pads at rest will hear no more of their stream. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct _DscoreFlow DscoreFlow;

DscoreFlow *dscore_flow_new (GstBin *pipeline);
/* Takes the probes away. */
void        dscore_flow_free (DscoreFlow *flow);

/* Takes note of what has passed since the last look, and of pads that are new. */
void        dscore_flow_look (DscoreFlow *flow);
/* Microseconds in which nothing has moved anywhere. */
gint64      dscore_flow_rest (DscoreFlow *flow);
/* Pads that have been at rest for so long, and whose end of stream will not come by itself: what feeds such a pad has ended, does
 * not exist, or is held up on its way to another pad. `hung`: also those whose feeder hangs by itself; what it has in hand is lost. */
GPtrArray  *dscore_flow_idle_pads (DscoreFlow *flow, gint64 rest, gboolean hung);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreFlow, dscore_flow_free)

G_END_DECLS
