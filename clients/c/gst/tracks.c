/* Tracks that never had data, in files whose format has no room for such.
 *
 * QuickTime's muxers (MP4, MOV, 3GP) write an empty track without saying of what: players then call the whole file corrupt.
 * Told what it would have been, they write a track of length zero, and all is well. */
#include "tracks.h"

#include "log.h"
#include "walk.h"

/* None of them needs data of its codec in its caps. */
static const char *const KINDS[] = {
  "audio/mpeg,mpegversion=1,layer=3,channels=2,rate=48000,parsed=true",
  "video/mpeg,mpegversion=4,systemstream=false,width=16,height=16,framerate=30/1",
  "text/x-raw,format=utf8",
};

static GstCaps *
fitting_caps (GstPad *pad)
{
  g_autoptr (GstCaps) accepted = gst_pad_query_caps (pad, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (KINDS); i++) {
    g_autoptr (GstCaps) caps = gst_caps_from_string (KINDS[i]);

    if (gst_caps_can_intersect (caps, accepted))
      return g_steal_pointer (&caps);
  }
  return NULL;
}

static void
send_description (GstPad *pad, const char *name, GstCaps *caps)
{
  g_autoptr (GstEvent) begun = gst_pad_get_sticky_event (pad, GST_EVENT_STREAM_START, 0);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  if (begun == NULL)
    gst_pad_send_event (pad, gst_event_new_stream_start (name));
  gst_pad_send_event (pad, gst_event_new_caps (caps));
  gst_pad_send_event (pad, gst_event_new_segment (&segment));
}

/* In the streaming thread that brings the end: what is sent here comes before it. */
static GstPadProbeReturn
describe (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstEventType type = GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info));
  g_autofree char *name = NULL;
  g_autoptr (GstCaps) caps = NULL;

  if (type == GST_EVENT_CAPS)
    return GST_PAD_PROBE_REMOVE;
  if (type != GST_EVENT_EOS || gst_pad_has_current_caps (pad))
    return GST_PAD_PROBE_OK;
  name = dscore_walk_pad_name (pad);
  caps = fitting_caps (pad);
  dscore_log (G_LOG_LEVEL_WARNING, "track_without_data", "pad", name, "described", caps == NULL ? "false" : "true", NULL);
  if (caps != NULL)
    send_description (pad, name, caps);
  return GST_PAD_PROBE_REMOVE;
}

/* By the plugin, for the types have other names and parents before GStreamer 1.20. */
static gboolean
is_quicktime_muxer (GstElement *element)
{
  GstElementFactory *factory = gst_element_get_factory (element);

  return factory != NULL && gst_element_factory_list_is_type (factory, GST_ELEMENT_FACTORY_TYPE_MUXER) &&
         g_strcmp0 (gst_plugin_feature_get_plugin_name (GST_PLUGIN_FEATURE (factory)), "isomp4") == 0;
}

void
dscore_tracks_complete_mute (GstBin *pipeline)
{
  g_autoptr (GPtrArray) elements = dscore_walk_leaves (pipeline);

  for (guint i = 0; i < elements->len; i++) {
    g_autoptr (GPtrArray) pads = NULL;

    if (!is_quicktime_muxer (elements->pdata[i]))
      continue;
    pads = dscore_walk_sink_pads (elements->pdata[i]);
    for (guint k = 0; k < pads->len; k++)
      if (!gst_pad_has_current_caps (pads->pdata[k]))
        gst_pad_add_probe (pads->pdata[k], GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, describe, NULL, NULL);
  }
}
