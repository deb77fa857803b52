/* What tests of pipelines share. See support.h. */
#include "support.h"

#include <glib/gstdio.h>

#define END_SECONDS 20

struct _Frames {
  GMutex lock;
  GPtrArray *contents;
  GstPad *pad;
  gulong probe;
};

struct _Hang {
  GstElement *element;
  gulong handler;
  guint after;
  int hanging, released, frames; /* Atomic. */
};

typedef struct {
  GstBin parent_instance;
  OddBehaviour *behaviour;
} OddBin;

typedef struct {
  GstBinClass parent_class;
} OddBinClass;

static GType odd_bin_get_type (void);
G_DEFINE_TYPE (OddBin, odd_bin, GST_TYPE_BIN)

void
test_start (int *argc, char ***argv)
{
  gst_init (argc, argv);
  g_test_init (argc, argv, NULL);
  /* Warnings are what is tested. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
}

gboolean
has_plugin (const char *element)
{
  g_autoptr (GstElementFactory) factory = gst_element_factory_find (element);

  return factory != NULL;
}

GstPipeline *
pipeline_of (const char *launch)
{
  g_autoptr (GError) error = NULL;
  GstElement *parsed = gst_parse_launch (launch, &error), *pipeline;

  g_assert_no_error (error);
  if (GST_IS_PIPELINE (parsed))
    return gst_object_ref_sink (parsed);
  pipeline = gst_object_ref_sink (gst_pipeline_new (NULL));
  gst_bin_add (GST_BIN (pipeline), parsed);
  return GST_PIPELINE (pipeline);
}

GstElement *
element_of (GstPipeline *pipeline, const char *name)
{
  GstElement *element = gst_bin_get_by_name (GST_BIN (pipeline), name);

  g_assert_nonnull (element);
  return element;
}

static GstPadProbeReturn
count (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Frames *frames = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstMapInfo map;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  g_mutex_lock (&frames->lock);
  g_ptr_array_add (frames->contents, g_compute_checksum_for_data (G_CHECKSUM_SHA1, map.data, map.size));
  g_mutex_unlock (&frames->lock);
  gst_buffer_unmap (buffer, &map);
  return GST_PAD_PROBE_OK;
}

Frames *
frames_count (GstPipeline *pipeline, const char *element, const char *pad)
{
  g_autoptr (GstElement) counted = element_of (pipeline, element);
  Frames *frames = g_new0 (Frames, 1);

  g_mutex_init (&frames->lock);
  frames->contents = g_ptr_array_new_with_free_func (g_free);
  frames->pad = gst_element_get_static_pad (counted, pad);
  frames->probe = gst_pad_add_probe (frames->pad, GST_PAD_PROBE_TYPE_BUFFER, count, frames, NULL);
  return frames;
}

guint
frames_seen (Frames *frames)
{
  guint seen;

  g_mutex_lock (&frames->lock);
  seen = frames->contents->len;
  g_mutex_unlock (&frames->lock);
  return seen;
}

/* After the pipeline has stopped. */
void
frames_free (Frames *frames)
{
  gst_pad_remove_probe (frames->pad, frames->probe);
  gst_object_unref (frames->pad);
  g_ptr_array_unref (frames->contents);
  g_mutex_clear (&frames->lock);
  g_free (frames);
}

void
frames_stand_still (Frames *frames)
{
  guint before;

  wait_for (frames_seen (frames) > 0);
  do {
    before = frames_seen (frames);
    g_usleep (500000);
  } while (frames_seen (frames) != before);
}

static void
play_to_end (GstPipeline *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (GST_ELEMENT (pipeline));
  g_autoptr (GstMessage) message = NULL;

  gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, END_SECONDS * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_NULL);
  g_assert_nonnull (message);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    g_autoptr (GError) error = NULL;

    gst_message_parse_error (message, &error, NULL);
    g_error ("the recording is damaged: %s", error->message);
  }
}

static Frames *
frames_recorded (const char *path, const char *demuxer)
{
  g_autofree char *launch = g_strdup_printf ("filesrc name=in ! %s ! identity name=out ! fakesink sync=false", demuxer);
  g_autoptr (GstPipeline) pipeline = pipeline_of (launch);
  g_autoptr (GstElement) in = element_of (pipeline, "in");
  Frames *frames;

  g_object_set (in, "location", path, NULL);
  frames = frames_count (pipeline, "out", "src");
  play_to_end (pipeline);
  return frames;
}

void
assert_whole (const char *path, Frames *encoded)
{
  gboolean is_mp4 = g_str_has_suffix (path, ".mp4");
  g_autoptr (Frames) stored = frames_recorded (path, is_mp4 ? "qtdemux" : "matroskademux");
  g_autoptr (Frames) shown = frames_recorded (path, "decodebin");

  g_assert_cmpuint (frames_seen (stored), >, 0);
  g_assert_cmpuint (frames_seen (stored), ==, frames_seen (encoded));
  g_assert_cmpuint (frames_seen (shown), ==, frames_seen (stored));
  for (guint i = 0; i < stored->contents->len; i++)
    g_assert_cmpstr (stored->contents->pdata[i], ==, encoded->contents->pdata[i]);
}

static gpointer
read_bus (gpointer data)
{
  Subject *subject = data;
  g_autoptr (GstBus) bus = gst_element_get_bus (GST_ELEMENT (subject->pipeline));

  while (!g_atomic_int_get (&subject->over)) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop (bus, 10 * GST_MSECOND);
  }
  return NULL;
}

Subject *
subject_of (GstPipeline *pipeline)
{
  g_autoptr (DscoreReporter) reporter = dscore_reporter_new (NULL, NULL, NULL, NULL);
  g_autoptr (GstElement) file = gst_bin_get_by_name (GST_BIN (pipeline), "file");
  g_autofree char *folder = g_dir_make_tmp ("dscore-XXXXXX", NULL);
  Subject *subject = g_new0 (Subject, 1);

  subject->pipeline = pipeline;
  subject->attachment = dscore_attachment_new (pipeline, NULL, reporter);
  subject->path = g_build_filename (folder, "out.mkv", NULL);
  if (file != NULL) {
    g_autoptr (GstElement) mp4 = gst_bin_get_by_name (GST_BIN (pipeline), "mp4");

    if (mp4 != NULL || g_object_class_find_property (G_OBJECT_GET_CLASS (file), "muxer") != NULL) {
      g_free (subject->path);
      subject->path = g_build_filename (folder, "out.mp4", NULL);
    }
    g_object_set (file, "location", subject->path, NULL);
  }
  subject->reading = g_thread_new ("program", read_bus, subject);
  return subject;
}

Subject *
subject_new (const char *launch)
{
  return subject_of (pipeline_of (launch));
}

void
subject_play (Subject *subject)
{
  g_assert_cmpint (gst_element_set_state (GST_ELEMENT (subject->pipeline), GST_STATE_PLAYING), !=, GST_STATE_CHANGE_FAILURE);
}

DscoreStopReport *
subject_stop (Subject *subject, double eos_seconds, double hard_seconds)
{
  DscoreStopOptions options = { (gint64) (eos_seconds * G_TIME_SPAN_SECOND),
                                g_get_monotonic_time () + (gint64) (hard_seconds * G_TIME_SPAN_SECOND), NULL, NULL };
  gint64 began = g_get_monotonic_time ();
  DscoreStopReport *report = dscore_stop_run (subject->pipeline, dscore_attachment_get_ending (subject->attachment), &options);

  /* A bound on what it waits for; a busy machine gets some seconds. */
  g_assert_cmpint (g_get_monotonic_time () - began, <, (gint64) ((hard_seconds + 3) * G_TIME_SPAN_SECOND));
  g_test_message ("%s", report->message);
  return report;
}

void
subject_free (Subject *subject)
{
  g_autofree char *folder = g_path_get_dirname (subject->path);

  g_atomic_int_set (&subject->over, 1);
  g_thread_join (subject->reading);
  dscore_attachment_detach (subject->attachment);
  dscore_attachment_unref (subject->attachment);
  gst_element_set_state (GST_ELEMENT (subject->pipeline), GST_STATE_NULL);
  gst_object_unref (subject->pipeline);
  g_unlink (subject->path);
  g_rmdir (folder);
  g_free (subject->path);
  g_free (subject);
}

static void
hang (GstElement *element, GstBuffer *buffer, gpointer data)
{
  Hang *self = data;

  if ((guint) g_atomic_int_add (&self->frames, 1) < self->after)
    return;
  while (!g_atomic_int_get (&self->released)) {
    g_atomic_int_set (&self->hanging, 1);
    g_usleep (5000);
  }
}

static void
hang_with_pad (GstElement *element, GstBuffer *buffer, GstPad *pad, gpointer data)
{
  hang (element, buffer, data);
}

Hang *
hang_at (GstPipeline *pipeline, const char *element, guint after)
{
  Hang *self = g_new0 (Hang, 1);
  GSignalQuery query;

  self->element = element_of (pipeline, element);
  self->after = after;
  g_object_set (self->element, "signal-handoffs", TRUE, NULL);
  g_signal_query (g_signal_lookup ("handoff", G_OBJECT_TYPE (self->element)), &query);
  self->handler = g_signal_connect (self->element, "handoff", query.n_params == 2 ? G_CALLBACK (hang_with_pad) : G_CALLBACK (hang),
                                    self);
  return self;
}

gboolean
hang_is_hanging (Hang *self)
{
  return g_atomic_int_get (&self->hanging);
}

void
hang_free (Hang *self)
{
  g_atomic_int_set (&self->released, 1);
  g_object_set (self->element, "signal-handoffs", FALSE, NULL);
  /* Waits until its thread is out of the handler. */
  gst_element_set_state (self->element, GST_STATE_NULL);
  g_signal_handler_disconnect (self->element, self->handler);
  gst_object_unref (self->element);
  g_free (self);
}

static GstStateChangeReturn
odd_bin_change_state (GstElement *element, GstStateChange change)
{
  OddBehaviour *behaviour = ((OddBin *) element)->behaviour;
  GstStateChangeReturn changed = GST_STATE_CHANGE_SUCCESS;

  if (change != GST_STATE_CHANGE_READY_TO_NULL)
    changed = GST_ELEMENT_CLASS (odd_bin_parent_class)->change_state (element, change);
  if (change == behaviour->hangs_in) {
    g_atomic_int_set (&behaviour->hanging, 1);
    while (!g_atomic_int_get (&behaviour->released))
      g_usleep (5000);
  }
  if (change == GST_STATE_CHANGE_READY_TO_NULL)
    changed = GST_ELEMENT_CLASS (odd_bin_parent_class)->change_state (element, change);
  return changed;
}

static gboolean
odd_bin_send_event (GstElement *element, GstEvent *event)
{
  if (!((OddBin *) element)->behaviour->keeps_events)
    return GST_ELEMENT_CLASS (odd_bin_parent_class)->send_event (element, event);
  gst_event_unref (event);
  return TRUE;
}

static void
odd_bin_class_init (OddBinClass *klass)
{
  GST_ELEMENT_CLASS (klass)->change_state = odd_bin_change_state;
  GST_ELEMENT_CLASS (klass)->send_event = odd_bin_send_event;
}

static void
odd_bin_init (OddBin *self)
{
}

GstElement *
odd_bin_new (const char *name, OddBehaviour *behaviour)
{
  OddBin *bin = g_object_new (odd_bin_get_type (), "name", name, NULL);

  bin->behaviour = behaviour;
  return GST_ELEMENT (bin);
}

void
odd_bin_fill (GstElement *bin, const char *launch)
{
  g_autoptr (GError) error = NULL;
  GstElement *inside = gst_parse_bin_from_description (launch, TRUE, &error);
  GList *pads = inside->pads;

  g_assert_no_error (error);
  gst_bin_add (GST_BIN (bin), inside);
  for (GList *pad = pads; pad != NULL; pad = pad->next)
    gst_element_add_pad (bin, gst_ghost_pad_new (GST_OBJECT_NAME (pad->data), pad->data));
}
