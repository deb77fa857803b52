/* One pipeline of the application: its bus is heard, it is watched, and it is never kept alive. */
#pragma once

#include "ending.h"
#include "report.h"
#include "standstill.h"

G_BEGIN_DECLS

typedef struct _DscoreAttachment DscoreAttachment;

DscoreAttachment *dscore_attachment_new (GstPipeline *pipeline, const char *name, DscoreReporter *reporter);
DscoreAttachment *dscore_attachment_ref (DscoreAttachment *attachment);
void              dscore_attachment_unref (DscoreAttachment *attachment);
/* Hears no more of the pipeline. Idempotent. */
void              dscore_attachment_detach (DscoreAttachment *attachment);

/* The one that it was given, or the pipeline's own. */
const char       *dscore_attachment_get_name (DscoreAttachment *attachment);
/* It was given this name: a pipeline's own may be that of many, as in deepstream-app. */
gboolean          dscore_attachment_was_named (DscoreAttachment *attachment, const char *name);
DscoreEnding     *dscore_attachment_get_ending (DscoreAttachment *attachment);
/* Stops the pipeline, once: see dscore_standstill_reach(). */
DscoreStopReport *dscore_attachment_stop (DscoreAttachment *attachment, GstPipeline *pipeline, const DscoreStopOptions *options);
/* NULL: the application has let go of it. */
GstPipeline      *dscore_attachment_dup_pipeline (DscoreAttachment *attachment);
/* Whose it is, to be compared only. */
gboolean          dscore_attachment_is_of (DscoreAttachment *attachment, gconstpointer pipeline);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreAttachment, dscore_attachment_unref)

G_END_DECLS
