/* How far a pipeline has come, as its bus tells it. Safe from any thread. */
#pragma once

#include "events.h"

G_BEGIN_DECLS

typedef struct _DscoreEnding DscoreEnding;

DscoreEnding *dscore_ending_new (void);
DscoreEnding *dscore_ending_ref (DscoreEnding *ending);
void          dscore_ending_unref (DscoreEnding *ending);

/* Takes note of one of the pipeline's events. */
void          dscore_ending_see (DscoreEnding *ending, const DscorePipelineEvent *event);

/* An application may have sought back, or played it anew, after an end that the bus told: its sinks then have one to come. */
void          dscore_ending_forget_old_eos (DscoreEnding *ending, GstBin *pipeline);

gboolean      dscore_ending_is_eos (DscoreEnding *ending);
gboolean      dscore_ending_has_failed (DscoreEnding *ending);
/* Waits for the end of the stream, or until `deadline`. FALSE: it has not come. */
gboolean      dscore_ending_wait_eos (DscoreEnding *ending, gint64 deadline);

/* Waits for the end of the stream or an error, without a bound. */
void          dscore_ending_wait_over (DscoreEnding *ending);

/* The first error, for people; NULL: none. */
char         *dscore_ending_dup_first_error (DscoreEnding *ending);
/* The errors of the elements that are not `cameras` but among `all`. */
GPtrArray    *dscore_ending_errors_of (DscoreEnding *ending, GPtrArray *all, GPtrArray *cameras);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreEnding, dscore_ending_unref)

G_END_DECLS
