/* GStreamer's messages in, events of a pipeline out. */
#pragma once

#include <gst/gst.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef enum {
  DSCORE_PIPELINE_ERROR,
  DSCORE_PIPELINE_WARNING,
  /* The whole pipeline's; the next but two are of one stream of several. */
  DSCORE_PIPELINE_EOS,
  DSCORE_PIPELINE_STREAM_ADDED,
  DSCORE_PIPELINE_STREAM_REMOVED,
  DSCORE_PIPELINE_STREAM_EOS,
} DscorePipelineKind;

typedef struct {
  DscorePipelineKind kind;
  char *source;        /* Name of the element that told it. */
  char *message;       /* For people; may be empty. */
  JsonObject *details; /* The debug text of an error, the ids of a stream. */
} DscorePipelineEvent;

DscorePipelineEvent *dscore_pipeline_event_new (DscorePipelineKind kind, const char *source);
/* What a message on the bus of `pipeline` says, which is only compared; NULL: nothing of interest. */
DscorePipelineEvent *dscore_pipeline_event_read (gconstpointer pipeline, GstMessage *message);
void                 dscore_pipeline_event_free (DscorePipelineEvent *event);

const char          *dscore_pipeline_kind_to_string (DscorePipelineKind kind);
/* For people: `error from camera: it is gone`. */
char                *dscore_pipeline_event_to_string (const DscorePipelineEvent *event);
/* As a message to the server, whose policy gets it in `on_message`. */
JsonObject          *dscore_pipeline_event_to_message (const DscorePipelineEvent *event);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscorePipelineEvent, dscore_pipeline_event_free)

G_END_DECLS
