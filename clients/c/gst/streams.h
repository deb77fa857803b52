/* The streams of one pipeline on their way to their ends. */
#pragma once

#include "ending.h"

G_BEGIN_DECLS

/* Tells how stopping goes on: the stage, and the microseconds that it may still take. */
typedef void (*DscoreStopProgress) (const char *stage, gint64 left, gpointer data);

typedef struct {
  gint64 eos_timeout; /* Microseconds for the streams to end. */
  gint64 deadline;    /* Moment of g_get_monotonic_time() at which it is over at the latest. */
  DscoreStopProgress progress;
  gpointer progress_data;
} DscoreStopOptions;

typedef struct _DscoreStreams DscoreStreams;

DscoreStreams *dscore_streams_new (GstPipeline *pipeline, DscoreEnding *ending, const DscoreStopOptions *options);
/* Leaves the calls that have not returned to themselves. */
void           dscore_streams_free (DscoreStreams *streams);

/* Data moves in the pipeline, or is about to: then its streams have an end to run to. */
gboolean       dscore_streams_flow (DscoreStreams *streams);
/* Lets every stream run to its end, as far as it can, for so many microseconds. */
void           dscore_streams_end (DscoreStreams *streams, gint64 patience);
/* What is missing, for people; none: every stream came to its end. */
GPtrArray     *dscore_streams_notes (DscoreStreams *streams, gboolean flowing);

/* Wakes what waits with data in hand: it would hold the change to NULL up. The data is lost. */
void           dscore_streams_free_what_waits (DscoreStreams *streams);
/* The names that are not those of sources which waited for a sink when they were freed. */
GPtrArray     *dscore_streams_without_held (DscoreStreams *streams, GPtrArray *names);

GstPipeline   *dscore_streams_pipeline (DscoreStreams *streams);
void           dscore_streams_set_stage (DscoreStreams *streams, const char *stage);
/* Microseconds until the deadline. */
gint64         dscore_streams_left (DscoreStreams *streams);
/* Tells of the progress where that is due; the moment of the next one, or the deadline. */
gint64         dscore_streams_next_step (DscoreStreams *streams);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreStreams, dscore_streams_free)

G_END_DECLS
