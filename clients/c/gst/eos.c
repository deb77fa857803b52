/* The end of the stream for one source, however little it helps.
 *
 * Every event goes in a thread of its own: a source takes its end between two frames, and one that cannot get rid of its frame
 * holds the call up for as long. */
#include "eos.h"

#include "log.h"
#include "walk.h"

#define POLL_US (100 * G_TIME_SPAN_MILLISECOND)

typedef struct {
  GstElement *source;
  gint64 patience;
  gint64 limit;
} End;

static void
end_free (gpointer data)
{
  End *end = data;

  gst_object_unref (end->source);
  g_free (end);
}

static GstPadProbeReturn
note_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  g_atomic_int_set ((int *) data, 1);
  return GST_PAD_PROBE_OK;
}

/* Waits for the end at the pads of a bin. FALSE: for `patience` not even a frame has come, or for `limit` frames and no end. */
static gboolean
wait_until_out (const End *end, DscoreCall *call, GPtrArray *pads, int *passed)
{
  gint64 began = g_get_monotonic_time (), last = began;

  while (!dscore_walk_have_all_ended (pads) && !dscore_call_is_abandoned (call)) {
    gint64 now = g_get_monotonic_time ();

    if (g_atomic_int_compare_and_exchange (passed, 1, 0))
      last = now;
    if (now - last >= end->patience || now - began >= end->limit)
      return FALSE;
    g_usleep (POLL_US);
  }
  return TRUE;
}

static gboolean
came_out (const End *end, DscoreCall *call)
{
  g_autoptr (GPtrArray) pads = dscore_walk_src_pads (end->source);
  gulong *probes = g_new0 (gulong, pads->len);
  int *passed = g_atomic_rc_box_new0 (int);
  gboolean out;

  for (guint i = 0; i < pads->len; i++)
    probes[i] = gst_pad_add_probe (pads->pdata[i], GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, note_frame,
                                   g_atomic_rc_box_acquire (passed), g_atomic_rc_box_release);
  out = wait_until_out (end, call, pads, passed);
  for (guint i = 0; i < pads->len; i++)
    gst_pad_remove_probe (pads->pdata[i], probes[i]);
  g_free (probes);
  g_atomic_rc_box_release (passed);
  return out;
}

static void
end_source (gpointer data, gpointer call)
{
  const End *end = data;
  g_autoptr (GPtrArray) pads = NULL;
  gboolean taken = FALSE;

  /* Through a transport it would go both ways, and wait for a peer. */
  if (!dscore_walk_is_transport (end->source) && gst_element_send_event (end->source, gst_event_new_eos ())) {
    /* What is no bin has nowhere to lose it. */
    if (!GST_IS_BIN (end->source) || came_out (end, call))
      return;
    /* Source bins that reconnect by themselves, DeepStream's for RTSP among them, drop it. */
    dscore_log (G_LOG_LEVEL_INFO, "eos_swallowed", "element", GST_OBJECT_NAME (end->source), NULL);
  }
  /* Not made from GstBaseSrc, and never taught this event, or a bin that keeps it to itself. */
  pads = dscore_walk_src_pads (end->source);
  for (guint i = 0; i < pads->len; i++)
    taken = gst_pad_push_event (pads->pdata[i], gst_event_new_eos ()) || taken;
  if (!taken)
    dscore_log (G_LOG_LEVEL_WARNING, "eos_refused", "element", GST_OBJECT_NAME (end->source), NULL);
}

DscoreCall *
dscore_eos_end_source (GstElement *source, gint64 patience, gint64 limit)
{
  End *end = g_new0 (End, 1);

  end->source = gst_object_ref (source);
  end->patience = patience;
  end->limit = limit;
  return dscore_call_start ("dscore-eos", end_source, end, end_free);
}

static void
end_pad (gpointer data, gpointer unused)
{
  gst_pad_send_event (data, gst_event_new_eos ());
}

DscoreCall *
dscore_eos_end_pad (GstPad *pad)
{
  return dscore_call_start ("dscore-eos", end_pad, gst_object_ref (pad), gst_object_unref);
}

static void
flush_pad (gpointer data, gpointer unused)
{
  GstPad *pad = data;

  if (GST_PAD_IS_SRC (pad))
    gst_pad_push_event (pad, gst_event_new_flush_start ());
  else
    gst_pad_send_event (pad, gst_event_new_flush_start ());
}

DscoreCall *
dscore_eos_flush_pad (GstPad *pad)
{
  return dscore_call_start ("dscore-flush", flush_pad, gst_object_ref (pad), gst_object_unref);
}

/* What says that it is a source may have sinks all the same, as webrtcbin does. */
static void
flush_source (gpointer data, gpointer unused)
{
  g_autoptr (GPtrArray) out = dscore_walk_src_pads (data);
  g_autoptr (GPtrArray) in = dscore_walk_sink_pads (data);

  g_ptr_array_foreach (out, flush_pad, NULL);
  g_ptr_array_foreach (in, flush_pad, NULL);
}

DscoreCall *
dscore_eos_flush_source (GstElement *source)
{
  return dscore_call_start ("dscore-flush", flush_source, gst_object_ref (source), gst_object_unref);
}
