/* The streams of one pipeline on their way to their ends.
 *
 * The end goes into every source. Where nothing moves any more it goes into the pads at rest, too, that no end would come to:
 * behind a closed valve, a tee with a branch that is blocked. */
#include "streams.h"

#include "call.h"
#include "eos.h"
#include "flow.h"
#include "log.h"
#include "stuck.h"
#include "tracks.h"
#include "walk.h"

/* Between two words to the server; a quick end needs none. */
#define PROGRESS_US G_TIME_SPAN_SECOND
/* Without movement: then a pad at rest is given the end that will not come by itself. The share is that of a short time. */
#define REST_US G_TIME_SPAN_SECOND
#define REST_SHARE 5
/* Of that time without any movement: then what is behind an element that hangs is ended, too. So is what is behind a source that
 * was told to end and goes on. */
#define HUNG_SHARE 2
#define POLL_US (100 * G_TIME_SPAN_MILLISECOND)
/* Without a frame from a source bin that was told to end: then it has kept the end to itself. The share is that of a short time. */
#define SWALLOWED_US (2 * G_TIME_SPAN_SECOND)
#define SWALLOWED_SHARE 0.4

typedef struct {
  GstElement *source;
  DscoreCall *call;
} SourceEnd;

struct _DscoreStreams {
  GstPipeline *pipeline;
  DscoreEnding *ending;
  DscoreStopOptions options;
  const char *stage;
  gint64 told;
  GPtrArray *ends;    /* SourceEnd: the sources, and the threads that end them */
  GHashTable *forced; /* GstPad → DscoreCall: pads that no end came to, and the threads that brought it */
  GPtrArray *lost;    /* Where data was left behind. */
  GPtrArray *held;    /* Names in the sources that waited for a sink. */
  gboolean at_rest;   /* Every sink is at its end, and nothing moves: whether the bus told it or not. */
};

static void
abandon (gpointer call)
{
  dscore_call_abandon (call);
  dscore_call_unref (call);
}

static void
source_end_free (gpointer data)
{
  SourceEnd *end = data;

  abandon (end->call);
  gst_object_unref (end->source);
  g_free (end);
}

DscoreStreams *
dscore_streams_new (GstPipeline *pipeline, DscoreEnding *ending, const DscoreStopOptions *options)
{
  DscoreStreams *streams = g_new0 (DscoreStreams, 1);

  streams->pipeline = gst_object_ref (pipeline);
  streams->ending = dscore_ending_ref (ending);
  streams->options = *options;
  streams->stage = "eos";
  streams->told = g_get_monotonic_time ();
  streams->ends = g_ptr_array_new_with_free_func (source_end_free);
  streams->forced = g_hash_table_new_full (NULL, NULL, gst_object_unref, abandon);
  streams->lost = g_ptr_array_new_with_free_func (g_free);
  streams->held = g_ptr_array_new_with_free_func (g_free);
  return streams;
}

void
dscore_streams_free (DscoreStreams *streams)
{
  g_ptr_array_unref (streams->ends);
  g_hash_table_unref (streams->forced);
  g_ptr_array_unref (streams->lost);
  g_ptr_array_unref (streams->held);
  dscore_ending_unref (streams->ending);
  gst_object_unref (streams->pipeline);
  g_free (streams);
}

GstPipeline *
dscore_streams_pipeline (DscoreStreams *streams)
{
  return streams->pipeline;
}

void
dscore_streams_set_stage (DscoreStreams *streams, const char *stage)
{
  streams->stage = stage;
}

gint64
dscore_streams_left (DscoreStreams *streams)
{
  return MAX (streams->options.deadline - g_get_monotonic_time (), 0);
}

static void
log_progress (const char *stage, gint64 left)
{
  g_autofree char *seconds = g_strdup_printf ("%.3f", (double) left / G_TIME_SPAN_SECOND);

  dscore_log (G_LOG_LEVEL_INFO, "pipeline_still_stopping", "stage", stage, "seconds_left", seconds, NULL);
}

gint64
dscore_streams_next_step (DscoreStreams *streams)
{
  gint64 now = g_get_monotonic_time (), left = dscore_streams_left (streams);

  if (now - streams->told >= PROGRESS_US) {
    streams->told = now;
    log_progress (streams->stage, left);
    if (streams->options.progress != NULL)
      streams->options.progress (streams->stage, left, streams->options.progress_data);
  }
  return MIN (streams->told + PROGRESS_US, streams->options.deadline);
}

gboolean
dscore_streams_flow (DscoreStreams *streams)
{
  GstState current, pending;

  if (gst_element_get_state (GST_ELEMENT (streams->pipeline), &current, &pending, 0) == GST_STATE_CHANGE_FAILURE)
    pending = current; /* It is on its way no more, though GStreamer says so. */
  return MAX (current, pending) >= GST_STATE_PAUSED;
}

/* The program itself: its call may wait for a source that waits to take its end, and no end can come any more. */
static gboolean
is_taken_down (GstPipeline *pipeline)
{
  gboolean down;

  GST_OBJECT_LOCK (pipeline);
  down = GST_STATE_TARGET (pipeline) < GST_STATE_PAUSED;
  GST_OBJECT_UNLOCK (pipeline);
  return down;
}

/* Every stream has ended: the bus says so, unless something private keeps the end to itself. */
static gboolean
have_ended (DscoreStreams *streams)
{
  GstBin *pipeline = GST_BIN (streams->pipeline);
  g_autoptr (GPtrArray) open = NULL;

  if (dscore_ending_is_eos (streams->ending) || streams->at_rest)
    return TRUE;
  if (!dscore_walk_has_private_sinks (pipeline))
    return FALSE;
  open = dscore_stuck_unended_sinks (pipeline);
  return open->len == 0;
}

static void
end_sources (DscoreStreams *streams, gint64 patience)
{
  g_autoptr (GPtrArray) sources = dscore_walk_sources (GST_BIN (streams->pipeline));
  gint64 swallowed = MIN (SWALLOWED_US, (gint64) (SWALLOWED_SHARE * streams->options.eos_timeout));

  for (guint i = 0; i < sources->len; i++) {
    SourceEnd *end = g_new0 (SourceEnd, 1);

    end->source = gst_object_ref (sources->pdata[i]);
    end->call = dscore_eos_end_source (end->source, swallowed, patience / HUNG_SHARE);
    g_ptr_array_add (streams->ends, end);
  }
}

static void
play (gpointer data, gpointer call)
{
  gst_element_set_state (data, GST_STATE_PLAYING);
}

/* Sinks in PAUSED wait with a frame in hand, and everything behind them. */
static void
play_if_paused (GstPipeline *pipeline)
{
  gboolean paused;

  GST_OBJECT_LOCK (pipeline);
  paused = GST_STATE_TARGET (pipeline) == GST_STATE_PAUSED;
  GST_OBJECT_UNLOCK (pipeline);
  if (paused)
    dscore_call_unref (dscore_call_start ("dscore-play", play, gst_object_ref (pipeline), gst_object_unref));
}

static void
force (DscoreStreams *streams, GstPad *pad, gboolean hung)
{
  g_autofree char *name = dscore_walk_pad_name (pad);
  g_autoptr (GstElement) feeder = dscore_walk_upstream (pad);

  dscore_log (G_LOG_LEVEL_INFO, "eos_into_idle_pad", "pad", name, NULL);
  if (hung && feeder != NULL && !dscore_walk_is_source (feeder))
    g_ptr_array_add (streams->lost, g_strdup_printf ("%s hangs with data for %s", GST_OBJECT_NAME (feeder), name));
  g_hash_table_insert (streams->forced, gst_object_ref (pad), dscore_eos_end_pad (pad));
}

/* Ends what no end comes to; whether there was any. */
static gboolean
end_idle_pads (DscoreStreams *streams, DscoreFlow *flow, gint64 rest, gboolean hung)
{
  g_autoptr (GPtrArray) pads = dscore_flow_idle_pads (flow, rest, hung);
  gboolean found = FALSE;

  for (guint i = 0; i < pads->len; i++)
    if (!g_hash_table_contains (streams->forced, pads->pdata[i])) {
      force (streams, pads->pdata[i], hung);
      found = TRUE;
    }
  return found;
}

/* The bus tells nothing of an end that came before it was heard, or after the program had the pipeline let go. Between two files of
 * one recording its sinks are at their ends, too, but not at rest. */
static gboolean
is_at_rest (DscoreStreams *streams, gint64 still, gint64 rest)
{
  g_autoptr (GPtrArray) open = still < rest ? NULL : dscore_stuck_unended_sinks (GST_BIN (streams->pipeline));

  return open != NULL && open->len == 0;
}

void
dscore_streams_end (DscoreStreams *streams, gint64 patience)
{
  gint64 until = g_get_monotonic_time () + patience, rest = MIN (REST_US, patience / REST_SHARE);
  g_autoptr (DscoreFlow) flow = NULL;

  dscore_ending_forget_old_eos (streams->ending, GST_BIN (streams->pipeline));
  dscore_tracks_complete_mute (GST_BIN (streams->pipeline));
  end_sources (streams, patience);
  play_if_paused (streams->pipeline);
  flow = dscore_flow_new (GST_BIN (streams->pipeline));
  while (!have_ended (streams) && g_get_monotonic_time () < until) {
    gboolean found;

    if (is_taken_down (streams->pipeline))
      return;
    dscore_flow_look (flow);
    streams->at_rest = is_at_rest (streams, dscore_flow_rest (flow), rest);
    found = end_idle_pads (streams, flow, rest, dscore_flow_rest (flow) >= patience / HUNG_SHARE);
    if (dscore_ending_has_failed (streams->ending) && !found && dscore_flow_rest (flow) >= 2 * rest)
      return; /* It may never reach its end, and nothing in it is on its way any more. */
    dscore_ending_wait_eos (streams->ending, MIN (MIN (g_get_monotonic_time () + POLL_US, until), dscore_streams_next_step (streams)));
  }
}

static void
add_names_of (GPtrArray *names, GstElement *element)
{
  g_autoptr (GPtrArray) its = dscore_stuck_names (element);

  for (guint i = 0; i < its->len; i++)
    g_ptr_array_add (names, g_strdup (its->pdata[i]));
}

/* Errors after which no stream is sure to be whole, though each may have its end. One of a camera cuts its stream short, and the
 * end reaches the file all the same: many have an error to tell when they are ended. One of a muxer or a sink is the file's. */
static GPtrArray *
faults (DscoreStreams *streams)
{
  g_autoptr (GPtrArray) all = dscore_stuck_names (GST_ELEMENT (streams->pipeline));
  g_autoptr (GPtrArray) cameras = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < streams->ends->len; i++)
    add_names_of (cameras, ((SourceEnd *) streams->ends->pdata[i])->source);
  return dscore_ending_errors_of (streams->ending, all, cameras);
}

GPtrArray *
dscore_streams_notes (DscoreStreams *streams, gboolean flowing)
{
  GPtrArray *notes = faults (streams);

  for (guint i = 0; i < streams->lost->len; i++)
    g_ptr_array_insert (notes, i, g_strdup (streams->lost->pdata[i]));
  if (!flowing || have_ended (streams))
    return notes;
  g_ptr_array_add (notes, is_taken_down (streams->pipeline)
                            ? g_strdup ("the program stopped the pipeline before its streams had ended")
                            : dscore_stuck_describe (GST_BIN (streams->pipeline)));
  return notes;
}

static gboolean
is_held (const SourceEnd *end)
{
  g_autoptr (GPtrArray) pads = dscore_walk_src_pads (end->source);

  return !dscore_call_is_done (end->call) && !dscore_walk_have_all_ended (pads);
}

/* As long as a source waits to take its end, it holds its state lock, and the change to NULL would wait for it, while it waits for
 * a sink that only NULL wakes up. A flush wakes it, and every other thread that is held up. */
void
dscore_streams_free_what_waits (DscoreStreams *streams)
{
  g_autoptr (GPtrArray) pads = dscore_walk_all_sink_pads (GST_BIN (streams->pipeline));

  for (guint i = 0; i < streams->ends->len; i++) {
    const SourceEnd *end = streams->ends->pdata[i];

    if (is_held (end)) {
      add_names_of (streams->held, end->source);
      dscore_call_unref (dscore_eos_flush_source (end->source));
    }
  }
  for (guint i = 0; i < pads->len; i++)
    if (!dscore_walk_is_free (pads->pdata[i]))
      dscore_call_unref (dscore_eos_flush_pad (pads->pdata[i]));
}

GPtrArray *
dscore_streams_without_held (DscoreStreams *streams, GPtrArray *names)
{
  GPtrArray *left = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < names->len; i++)
    if (!dscore_names_contain (streams->held, names->pdata[i]))
      g_ptr_array_add (left, g_strdup (names->pdata[i]));
  return left;
}
