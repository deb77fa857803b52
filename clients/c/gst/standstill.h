/* The one stop of a pipeline: asked for again, it gives the same report. Safe from any thread. */
#pragma once

#include "stop.h"

G_BEGIN_DECLS

typedef struct {
  GMutex lock;
  GCond reported;
  gboolean begun;
  DscoreStopReport *report; /* NULL: there is none yet */
} DscoreStandstill;

void dscore_standstill_init (DscoreStandstill *standstill);
void dscore_standstill_clear (DscoreStandstill *standstill);

/* Stops the pipeline, or waits until it has been stopped; a report to be freed. NULL: the deadline has passed before another
 * thread has stopped it. */
DscoreStopReport *dscore_standstill_reach (DscoreStandstill *standstill, GstPipeline *pipeline, DscoreEnding *ending,
                                           const DscoreStopOptions *options);

G_END_DECLS
