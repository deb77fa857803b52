/* Names what hangs in a pipeline, what holds its streams up, and what they have not reached. Waits for no element. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Arrays of strings, sorted, each once. */

/* The elements that are in a state change at this moment, innermost only. */
GPtrArray *dscore_stuck_changing (GstBin *pipeline);
/* The elements that are not in the state NULL. */
GPtrArray *dscore_stuck_still_up (GstBin *pipeline);
/* The sinks that have not got the first frame that they wait for. */
GPtrArray *dscore_stuck_waiting_sinks (GstBin *pipeline);
/* The sinks that have not seen the end of their stream. */
GPtrArray *dscore_stuck_unended_sinks (GstBin *pipeline);
/* The elements that hold up what is before them. */
GPtrArray *dscore_stuck_blocking (GstBin *pipeline);
/* The places where the end of a stream got stuck, as `queue0 → filesink0`. */
GPtrArray *dscore_stuck_ends (GstBin *pipeline);
/* Pads that wait for the end of a stream, as `mixer0.sink_1`, though nothing feeds them. */
GPtrArray *dscore_stuck_unlinked (GstBin *pipeline);
/* All of it in a sentence: which streams did not end, and why. */
char      *dscore_stuck_describe (GstBin *pipeline);

/* Of an element and, if it is a bin, of all in it. */
GPtrArray *dscore_stuck_names (GstElement *element);

gboolean   dscore_names_contain (GPtrArray *names, const char *name);
char      *dscore_names_join (GPtrArray *names);

G_END_DECLS
