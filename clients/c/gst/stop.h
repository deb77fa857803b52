/* Brings a pipeline to a standstill without losing what is in it, and never waits longer than told. */
#pragma once

#include "streams.h"

G_BEGIN_DECLS

typedef struct {
  gboolean ok;       /* It stands still and has let go of everything. FALSE: something hangs in it. */
  gboolean complete; /* Every stream was played to its end: nothing of a recording is missing. */
  char *message;     /* For the server and its operators. */
  gint64 eos_us;     /* How long the streams took to end, */
  gint64 null_us;    /* and the elements to stop after that. */
} DscoreStopReport;

/* Stops a pipeline in any state, as far as it can be stopped. `ending` is kept up to date by what hears its bus. */
DscoreStopReport *dscore_stop_run (GstPipeline *pipeline, DscoreEnding *ending, const DscoreStopOptions *options);
void              dscore_stop_report_free (DscoreStopReport *report);

/* How long the streams may take to end, of what there is until the pipeline stands still. */
gint64            dscore_stop_streams_us (gint64 wanted, gint64 available);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreStopReport, dscore_stop_report_free)

G_END_DECLS
