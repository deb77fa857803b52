/* The end of the stream reaches every file, whatever stands between the cameras and the sinks. */
#include "flow.h"
#include "support.h"

static const char *const TEES[] = {
  "t. ! queue max-size-buffers=4 ! appsink name=deaf max-buffers=1 sync=false t. ! queue ! " MP4,
  "t. ! queue ! " MP4 " t. ! queue max-size-buffers=4 ! appsink name=deaf max-buffers=1 sync=false",
};

static void
a_tee_with_a_blocked_branch (gconstpointer branches)
{
  g_autofree char *launch = g_strdup_printf (CAMERA " ! tee name=t %s", (const char *) branches);
  g_autoptr (Subject) subject = subject_new (launch);
  g_autoptr (Frames) taken = frames_count (subject->pipeline, "t", "sink");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  frames_stand_still (taken);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->ok);
  g_assert_false (report->complete);
  g_assert_nonnull (strstr (report->message, "held up by deaf"));
  assert_whole (subject->path, encoded);
}

static void
a_closed_valve (void)
{
  g_autoptr (Subject) subject = subject_new (CAMERA " ! valve name=valve ! " MP4);
  g_autoptr (GstElement) valve = element_of (subject->pipeline, "valve");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (frames_seen (encoded) >= 10);
  g_object_set (valve, "drop", TRUE, NULL);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  assert_whole (subject->path, encoded);
}

static void
a_mixer_whose_camera_was_removed (gconstpointer queued)
{
  g_autofree char *launch =
    g_strdup_printf ("compositor name=mixer ! video/x-raw,framerate=30/1 ! " MP4 " " CAMERA
                     " ! mixer. videotestsrc is-live=true name=second ! %s mixer.", (const char *) queued);
  g_autoptr (Subject) subject = subject_new (launch);
  g_autoptr (GstElement) second = element_of (subject->pipeline, "second");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (frames_seen (encoded) >= 10);
  gst_element_set_state (second, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (subject->pipeline), second);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  assert_whole (subject->path, encoded);
}

#define MUTE \
  "appsrc is-live=true format=time caps=audio/x-raw,format=F32LE,rate=44100,channels=1,layout=interleaved ! audioconvert ! " \
  "avenc_aac ! queue ! "
#define VIDEO CAMERA " ! x264enc name=encoder tune=zerolatency ! h264parse ! queue ! "

static const char *const MUXERS[] = {
  "mp4mux name=mp4 ! filesink name=file " VIDEO "mp4. " MUTE "mp4.",
  "splitmuxsink name=file " VIDEO "file.video " MUTE "file.audio_0",
};

static void
a_track_that_never_had_data (gconstpointer launch)
{
  g_autoptr (Subject) subject = NULL;
  g_autoptr (Frames) encoded = NULL;
  g_autoptr (DscoreStopReport) report = NULL;

  if (!has_plugin ("avenc_aac")) {
    g_test_skip ("no avenc_aac: make setup-gst");
    return;
  }
  subject = subject_new (launch);
  encoded = frames_count (subject->pipeline, "encoder", "src");
  subject_play (subject);
  wait_for (frames_seen (encoded) >= 10);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  assert_whole (subject->path, encoded);
}

static GstPadProbeReturn
fail_at_end (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS)
    GST_ELEMENT_ERROR (data, RESOURCE, READ, ("the camera is gone"), (NULL));
  return GST_PAD_PROBE_OK;
}

/* One camera fails at its end, while another one's frames have seconds to go. */
static void
an_error_that_the_end_provokes_shortens_nothing_that_moves (void)
{
  g_autoptr (Subject) subject =
    subject_new (CAMERA " ! queue max-size-time=0 max-size-buffers=0 max-size-bytes=0 ! identity sleep-time=100000 ! " MP4
                        " videotestsrc is-live=true name=bad ! fakesink");
  g_autoptr (GstElement) bad = element_of (subject->pipeline, "bad");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (bad, "src");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, fail_at_end, bad, NULL);
  subject_play (subject);
  wait_for (frames_seen (encoded) >= 12);
  report = subject_stop (subject, 15, 20);
  g_assert_true (report->complete);
  g_assert_cmpint (report->eos_us, >, 1500000);
  assert_whole (subject->path, encoded);
}

static void
a_source_bin_that_takes_the_end_and_goes_on (void)
{
  OddBehaviour stubborn = { .keeps_events = TRUE };
  GstElement *camera = odd_bin_new ("camera", &stubborn);
  g_autoptr (Subject) subject = subject_new ("queue name=entry ! " MP4);
  g_autoptr (GstElement) entry = element_of (subject->pipeline, "entry");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  odd_bin_fill (camera, "videotestsrc is-live=true ! capsfilter caps=video/x-raw,width=160,height=120,framerate=30/1");
  gst_bin_add (GST_BIN (subject->pipeline), camera);
  g_assert_true (gst_element_link (camera, entry));
  subject_play (subject);
  wait_for (frames_seen (encoded) >= 10);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  assert_whole (subject->path, encoded);
}

/* The inactive pad of a selector holds its camera; the other one's end is that of the bus. */
static void
a_source_whose_call_does_not_return_keeps_nothing_from_stopping (void)
{
  g_autoptr (Subject) subject = subject_new ("input-selector name=s ! fakesink videotestsrc is-live=true name=shown ! s. "
                                             "videotestsrc is-live=true ! s.");
  g_autoptr (Frames) frames = frames_count (subject->pipeline, "shown", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (frames_seen (frames) >= 10);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->ok);
  g_assert_cmpint (report->eos_us + report->null_us, <, 6 * G_TIME_SPAN_SECOND);
}

static void
count_warnings (const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
  g_test_message ("%s", message);
  g_atomic_int_inc ((int *) data);
}

/* It was taken away although it had gone by itself: a warning of GStreamer's, which ends programs that have those fatal. */
static void
a_probe_that_fires_as_it_is_taken_away (void)
{
  g_autoptr (GstPipeline) pipeline = pipeline_of ("fakesrc ! queue ! identity ! fakesink sync=false");
  gint64 until = g_get_monotonic_time () + 2 * G_TIME_SPAN_SECOND;
  int warnings = 0;
  guint handler = g_log_set_handler ("GStreamer", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL, count_warnings, &warnings);

  gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_PLAYING);
  for (guint i = 0; g_get_monotonic_time () < until; i++) {
    DscoreFlow *flow = dscore_flow_new (GST_BIN (pipeline));

    dscore_flow_look (flow);
    if (i % 2 == 0)
      g_thread_yield ();
    dscore_flow_free (flow);
  }
  gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_NULL);
  g_log_remove_handler ("GStreamer", handler);
  g_assert_cmpint (g_atomic_int_get (&warnings), ==, 0);
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_data_func ("/ends/tee/before", TEES[0], a_tee_with_a_blocked_branch);
  g_test_add_data_func ("/ends/tee/behind", TEES[1], a_tee_with_a_blocked_branch);
  g_test_add_func ("/ends/valve", a_closed_valve);
  g_test_add_data_func ("/ends/mixer/queue", "queue name=orphan !", a_mixer_whose_camera_was_removed);
  g_test_add_data_func ("/ends/mixer/bare", "", a_mixer_whose_camera_was_removed);
  g_test_add_data_func ("/ends/mute-track/mp4mux", MUXERS[0], a_track_that_never_had_data);
  g_test_add_data_func ("/ends/mute-track/splitmuxsink", MUXERS[1], a_track_that_never_had_data);
  g_test_add_func ("/ends/provoked-error", an_error_that_the_end_provokes_shortens_nothing_that_moves);
  g_test_add_func ("/ends/stubborn-bin", a_source_bin_that_takes_the_end_and_goes_on);
  g_test_add_func ("/ends/selector", a_source_whose_call_does_not_return_keeps_nothing_from_stopping);
  g_test_add_func ("/ends/probe", a_probe_that_fires_as_it_is_taken_away);
  return g_test_run ();
}
