/* Pipelines that play, pause, fail and end: stopped with every frame where it belongs. */
#include "support.h"

#define GRACEFUL "Application terminated gracefully"

static void
every_frame_of_a_live_camera_is_in_the_recording (gconstpointer recorder)
{
  g_autofree char *launch = g_strdup_printf (LIVE " ! queue ! %s", (const char *) recorder);
  g_autoptr (Subject) subject = subject_new (launch);
  g_autoptr (Frames) taken = frames_count (subject->pipeline, "camera", "src");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (frames_seen (taken) >= 15);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->ok);
  g_assert_true (report->complete);
  g_assert_cmpstr (report->message, ==, GRACEFUL);
  g_assert_cmpuint (frames_seen (encoded), ==, frames_seen (taken));
  assert_whole (subject->path, encoded);
}

static void
a_file_that_is_played_fast_is_ended_where_it_was (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc name=camera ! queue ! " MJPEG);
  g_autoptr (Frames) taken = frames_count (subject->pipeline, "camera", "src");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (frames_seen (taken) >= 100);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  g_assert_cmpuint (frames_seen (encoded), ==, frames_seen (taken));
  assert_whole (subject->path, encoded);
}

/* A program whose main loop sleeps has half a second to take the end off its bus, and no more. */
static void
a_bus_that_is_not_read_holds_nothing_up (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc is-live=true ! fakesink");
  g_autoptr (DscoreStopReport) report = NULL;

  g_atomic_int_set (&subject->over, 1);
  g_thread_join (g_thread_ref (subject->reading));
  subject_play (subject);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  g_assert_cmpint (report->null_us, >=, 500000);
}

/* A plain source, one in a bin, one fed by the program. */
static void
every_source_is_ended (void)
{
  g_autoptr (Subject) subject =
    subject_new ("videotestsrc is-live=true ! identity name=a ! fakesink async=false "
                 "( videotestsrc is-live=true ! queue ) ! identity name=b ! fakesink async=false "
                 "appsrc name=app is-live=true format=time do-timestamp=true "
                 "caps=video/x-raw,format=I420,width=16,height=16,framerate=30/1 ! identity name=c ! fakesink async=false");
  g_autoptr (GstElement) app = element_of (subject->pipeline, "app");
  g_autoptr (DscoreStopReport) report = NULL;
  Frames *frames[] = { frames_count (subject->pipeline, "a", "src"), frames_count (subject->pipeline, "b", "src"),
                       frames_count (subject->pipeline, "c", "src") };

  subject_play (subject);
  for (guint i = 0; i < G_N_ELEMENTS (frames); i++)
    while (frames_seen (frames[i]) < 3) {
      g_autoptr (GstBuffer) buffer = gst_buffer_new_allocate (NULL, 384, NULL);
      GstFlowReturn pushed;

      g_signal_emit_by_name (app, "push-buffer", buffer, &pushed);
      g_usleep (10000);
    }
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  for (guint i = 0; i < G_N_ELEMENTS (frames); i++)
    frames_free (frames[i]);
}

static void
a_source_that_refuses_the_event_is_ended_all_the_same (void)
{
  g_autoptr (Subject) subject = subject_new ("tee name=pretender ! queue ! fakesink async=false");
  g_autoptr (GstElement) pretender = element_of (subject->pipeline, "pretender");
  g_autoptr (GstPad) in = gst_element_get_static_pad (pretender, "sink");
  g_autoptr (DscoreStopReport) report = NULL;

  gst_element_remove_pad (pretender, in);
  subject_play (subject);
  gst_pad_push_event (pretender->srcpads->data, gst_event_new_stream_start ("s"));
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
}

static GstPadProbeReturn
swallow (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  return GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
}

/* As DeepStream's RTSP sources do, which would reconnect after it. */
static void
a_source_bin_that_swallows_the_event_is_ended_all_the_same (void)
{
  OddBehaviour plain = { 0 };
  GstElement *camera = odd_bin_new ("camera", &plain);
  g_autoptr (Subject) subject = subject_new (MJPEG);
  g_autoptr (GstElement) encoder = element_of (subject->pipeline, "encoder");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;
  g_autoptr (GstElement) gate = NULL;
  g_autoptr (GstPad) pad = NULL;

  odd_bin_fill (camera, "videotestsrc is-live=true ! identity name=gate ! queue");
  gst_bin_add (GST_BIN (subject->pipeline), camera);
  g_assert_true (gst_element_link (camera, encoder));
  gate = element_of (subject->pipeline, "gate");
  pad = gst_element_get_static_pad (gate, "src");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, swallow, NULL, NULL);
  subject_play (subject);
  wait_for (frames_seen (encoded) >= 5);
  report = subject_stop (subject, 2, 10);
  g_assert_true (report->complete);
  assert_whole (subject->path, encoded);
}

static void
a_paused_pipeline_is_played_to_its_end (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc ! queue ! " MJPEG);
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  gst_element_set_state (GST_ELEMENT (subject->pipeline), GST_STATE_PAUSED);
  wait_for (frames_seen (encoded) >= 1);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  assert_whole (subject->path, encoded);
}

static void
stopping_during_preroll_does_not_wait_for_data (void)
{
  g_autoptr (Subject) subject = subject_new ("appsrc ! fakesink");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  g_assert_cmpint (report->eos_us, <, 2 * G_TIME_SPAN_SECOND);
}

static void
a_pipeline_that_does_not_play_is_stopped_at_once (void)
{
  const GstState states[] = { GST_STATE_NULL, GST_STATE_READY };

  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    g_autoptr (Subject) subject = subject_new ("videotestsrc ! fakesink");
    g_autoptr (DscoreStopReport) report = NULL;

    gst_element_set_state (GST_ELEMENT (subject->pipeline), states[i]);
    report = subject_stop (subject, 5, 10);
    g_assert_true (report->ok);
    g_assert_true (report->complete);
    g_assert_cmpint (report->eos_us, <, 2 * G_TIME_SPAN_SECOND);
  }
}

static void
a_pipeline_that_has_ended_is_stopped_at_once (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc num-buffers=3 ! fakesink");
  DscoreEnding *ending = dscore_attachment_get_ending (subject->attachment);
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (dscore_ending_is_eos (ending));
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  g_assert_cmpint (report->eos_us, <, 2 * G_TIME_SPAN_SECOND);
}

static void
play_up_to (Subject *subject, GstClockTime end)
{
  g_assert_true (gst_element_seek (GST_ELEMENT (subject->pipeline), 1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0,
                                   GST_SEEK_TYPE_SET, end));
}

/* A program that plays a file in a loop seeks back at its end: that end is not the one that stopping waits for. */
static void
the_end_of_an_earlier_round_does_not_count (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc ! queue max-size-buffers=2 ! identity name=slow ! fakesink");
  g_autoptr (GstElement) slow = element_of (subject->pipeline, "slow");
  g_autoptr (Frames) frames = NULL;
  g_autoptr (DscoreStopReport) report = NULL;

  gst_element_set_state (GST_ELEMENT (subject->pipeline), GST_STATE_PAUSED);
  gst_element_get_state (GST_ELEMENT (subject->pipeline), NULL, NULL, GST_CLOCK_TIME_NONE);
  play_up_to (subject, 100 * GST_MSECOND);
  subject_play (subject);
  wait_for (dscore_ending_is_eos (dscore_attachment_get_ending (subject->attachment)));
  frames = frames_count (subject->pipeline, "slow", "sink");
  g_object_set (slow, "sleep-time", 300000, NULL);
  play_up_to (subject, 3600 * GST_SECOND);
  wait_for (frames_seen (frames) >= 2);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  g_assert_cmpint (report->eos_us, >, 300000);
}

static void
a_failed_pipeline_stops_and_says_so (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc is-live=true ! identity error-after=3 name=broken ! fakesink");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (dscore_ending_has_failed (dscore_attachment_get_ending (subject->attachment)));
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->ok);
  g_assert_false (report->complete);
  g_assert_nonnull (strstr (report->message, GRACEFUL "; the pipeline had failed: error from broken: "));
  g_assert_cmpint (report->eos_us, <, 4 * G_TIME_SPAN_SECOND);
}

static void
the_healthy_branch_of_a_failed_pipeline_keeps_its_recording (void)
{
  g_autoptr (Subject) subject = subject_new (LIVE " ! " MJPEG " videotestsrc is-live=true ! identity error-after=3 ! fakesink");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (dscore_ending_has_failed (dscore_attachment_get_ending (subject->attachment)));
  wait_for (frames_seen (encoded) >= 10);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->ok);
  assert_whole (subject->path, encoded);
}

/* A sink that waits for the time of its frame holds the end up, but does stop. */
static void
a_stream_without_an_end_is_named_and_given_up (void)
{
  g_autoptr (Subject) subject =
    subject_new ("videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink name=late sync=true");
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (gst_element_get_state (GST_ELEMENT (subject->pipeline), NULL, NULL, 0) == GST_STATE_CHANGE_SUCCESS);
  report = subject_stop (subject, 0.3, 10);
  g_assert_true (report->ok);
  g_assert_false (report->complete);
  g_assert_true (g_str_has_prefix (report->message, GRACEFUL "; no end of stream in time at late"));
}

typedef struct {
  guint told;
  gint64 last;
} Told;

static void
note (const char *stage, gint64 left, gpointer data)
{
  Told *told = data;

  g_assert_cmpstr (stage, ==, "eos");
  g_assert_true (told->told == 0 || left < told->last);
  told->told++;
  told->last = left;
}

static void
progress_is_told_while_it_takes_long (void)
{
  g_autoptr (Subject) subject =
    subject_new ("videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink name=sink sync=true");
  g_autoptr (Frames) frames = frames_count (subject->pipeline, "sink", "sink");
  g_autoptr (DscoreStopReport) report = NULL;
  Told told = { 0 };
  DscoreStopOptions options = { 2200 * G_TIME_SPAN_MILLISECOND, 0, note, &told };

  subject_play (subject);
  wait_for (frames_seen (frames) >= 1);
  options.deadline = g_get_monotonic_time () + 10 * G_TIME_SPAN_SECOND;
  report = dscore_stop_run (subject->pipeline, dscore_attachment_get_ending (subject->attachment), &options);
  g_assert_true (report->ok);
  g_assert_cmpuint (told.told, ==, 2);
}

static guint
open_descriptors (void)
{
  g_autoptr (GDir) open = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  while (g_dir_read_name (open) != NULL)
    count++;
  return count;
}

static void
nothing_is_left_after_many_pipelines (void)
{
  guint descriptors = 0;

  for (guint i = 0; i < 30; i++) {
    g_autoptr (Subject) subject = subject_new ("videotestsrc is-live=true ! fakesink");
    g_autoptr (DscoreStopReport) report = NULL;

    subject_play (subject);
    report = subject_stop (subject, 5, 10);
    g_assert_true (report->complete);
    /* GLib and the plugins keep what they open once. A thread of the pipeline before may be about to let go of it. */
    if (i < 2)
      descriptors = open_descriptors ();
    wait_for (open_descriptors () <= descriptors);
  }
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_data_func ("/stop/every-frame/h264", MP4, every_frame_of_a_live_camera_is_in_the_recording);
  g_test_add_data_func ("/stop/every-frame/mjpeg", MJPEG, every_frame_of_a_live_camera_is_in_the_recording);
  g_test_add_func ("/stop/fast-file", a_file_that_is_played_fast_is_ended_where_it_was);
  g_test_add_func ("/stop/unread-bus", a_bus_that_is_not_read_holds_nothing_up);
  g_test_add_func ("/stop/every-source", every_source_is_ended);
  g_test_add_func ("/stop/refusing-source", a_source_that_refuses_the_event_is_ended_all_the_same);
  g_test_add_func ("/stop/swallowing-bin", a_source_bin_that_swallows_the_event_is_ended_all_the_same);
  g_test_add_func ("/stop/paused", a_paused_pipeline_is_played_to_its_end);
  g_test_add_func ("/stop/preroll", stopping_during_preroll_does_not_wait_for_data);
  g_test_add_func ("/stop/not-playing", a_pipeline_that_does_not_play_is_stopped_at_once);
  g_test_add_func ("/stop/ended", a_pipeline_that_has_ended_is_stopped_at_once);
  g_test_add_func ("/stop/earlier-round", the_end_of_an_earlier_round_does_not_count);
  g_test_add_func ("/stop/failed", a_failed_pipeline_stops_and_says_so);
  g_test_add_func ("/stop/healthy-branch", the_healthy_branch_of_a_failed_pipeline_keeps_its_recording);
  g_test_add_func ("/stop/without-end", a_stream_without_an_end_is_named_and_given_up);
  g_test_add_func ("/stop/progress", progress_is_told_while_it_takes_long);
  g_test_add_func ("/stop/nothing-left", nothing_is_left_after_many_pipelines);
  return g_test_run ();
}
