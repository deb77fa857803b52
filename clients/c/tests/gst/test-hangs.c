/* Elements that hang: named, left behind, and never waited for. */
#include "support.h"

#include "call.h"
#include "group.h"
#include "stuck.h"
#include "walk.h"

static void
assert_names (GPtrArray *names, const char *expected)
{
  g_autofree char *joined = dscore_names_join (names);

  g_assert_cmpstr (joined, ==, expected);
  g_ptr_array_unref (names);
}

static gboolean
are (GPtrArray *names, const char *expected)
{
  g_autofree char *joined = dscore_names_join (names);
  gboolean same = g_str_equal (joined, expected);

  g_ptr_array_unref (names);
  return same;
}

static void
a_sink_that_hangs_is_named (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc is-live=true ! tee name=t ! queue ! fakesink async=false name=fine "
                                             "t. ! queue ! fakesink async=false name=stuck");
  GstElement *pipeline = GST_ELEMENT (subject->pipeline);
  Hang *hang = hang_at (subject->pipeline, "stuck", 0);
  g_autoptr (DscoreStopReport) report = NULL;

  subject_play (subject);
  wait_for (hang_is_hanging (hang));
  report = subject_stop (subject, 0.2, 1.5);
  g_assert_false (report->ok);
  g_assert_nonnull (strstr (report->message, "stuck did not reach the state NULL"));
  g_assert_null (strstr (report->message, "fine"));
  hang_free (hang);
  /* Released, the thread that asks for NULL gets it: nothing is left behind. */
  wait_for (gst_element_get_state (pipeline, NULL, NULL, 0) == GST_STATE_CHANGE_SUCCESS && GST_STATE (pipeline) == GST_STATE_NULL);
}

static void
play (gpointer data, gpointer call)
{
  gst_element_set_state (data, GST_STATE_PLAYING);
}

static void
an_element_that_hangs_at_the_start_is_named (void)
{
  OddBehaviour behaviour = { .hangs_in = GST_STATE_CHANGE_READY_TO_PAUSED };
  GstPipeline *pipeline = gst_object_ref_sink (GST_PIPELINE (gst_pipeline_new (NULL)));
  g_autoptr (Subject) subject = subject_of (pipeline);
  g_autoptr (DscoreCall) playing = NULL;
  g_autoptr (DscoreStopReport) report = NULL;

  gst_bin_add (GST_BIN (pipeline), odd_bin_new ("stuck", &behaviour));
  playing = dscore_call_start ("play", play, gst_object_ref (pipeline), gst_object_unref);
  wait_for (g_atomic_int_get (&behaviour.hanging));
  report = subject_stop (subject, 0.2, 1.5);
  g_assert_false (report->ok);
  g_assert_nonnull (strstr (report->message, "stuck"));
  g_atomic_int_set (&behaviour.released, 1);
  wait_for (dscore_call_is_done (playing));
}

/* Frames flow before the camera says that it has started: they are not to be lost. */
static void
stopped_while_it_starts_it_plays_to_its_end (void)
{
  OddBehaviour behaviour = { .hangs_in = GST_STATE_CHANGE_PAUSED_TO_PLAYING };
  GstElement *camera = odd_bin_new ("camera", &behaviour);
  g_autoptr (Subject) subject = subject_new (MJPEG);
  g_autoptr (GstElement) encoder = element_of (subject->pipeline, "encoder");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreCall) playing = NULL;
  g_autoptr (DscoreStopReport) report = NULL;

  odd_bin_fill (camera, "videotestsrc is-live=true");
  gst_bin_add (GST_BIN (subject->pipeline), camera);
  g_assert_true (gst_element_link (camera, encoder));
  playing = dscore_call_start ("play", play, gst_object_ref (subject->pipeline), gst_object_unref);
  wait_for (frames_seen (encoded) >= 1);
  g_atomic_int_set (&behaviour.released, 1);
  report = subject_stop (subject, 5, 10);
  wait_for (dscore_call_is_done (playing));
  g_assert_true (report->complete);
  assert_whole (subject->path, encoded);
}

/* The frames that it holds are lost, and it is named; the file is not. */
static void
what_is_behind_an_element_that_hangs (void)
{
  g_autoptr (Subject) subject = subject_new (CAMERA " ! queue ! identity name=stuck ! queue ! " MP4);
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;
  Hang *hang = hang_at (subject->pipeline, "stuck", 10);

  subject_play (subject);
  wait_for (hang_is_hanging (hang));
  report = subject_stop (subject, 4, 6);
  hang_free (hang);
  g_assert_false (report->complete);
  wait_for (GST_STATE (subject->pipeline) == GST_STATE_NULL);
  assert_whole (subject->path, encoded);
}

static void
a_camera_that_hangs (void)
{
  OddBehaviour plain = { 0 };
  GstElement *camera = odd_bin_new ("camera", &plain);
  g_autoptr (Subject) subject = subject_new ("queue name=entry ! " MP4);
  g_autoptr (GstElement) entry = element_of (subject->pipeline, "entry");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;
  Hang *hang;

  odd_bin_fill (camera, CAMERA " ! identity name=stuck");
  gst_bin_add (GST_BIN (subject->pipeline), camera);
  g_assert_true (gst_element_link (camera, entry));
  hang = hang_at (subject->pipeline, "stuck", 10);
  subject_play (subject);
  wait_for (hang_is_hanging (hang));
  report = subject_stop (subject, 4, 6);
  hang_free (hang);
  wait_for (GST_STATE (subject->pipeline) == GST_STATE_NULL);
  assert_whole (subject->path, encoded);
}

/* A pipeline whose element `deep`, two bins down, does not come back from READY to NULL. */
static void
what_hangs_is_found_in_the_innermost_bin (void)
{
  OddBehaviour behaviour = { .hangs_in = GST_STATE_CHANGE_READY_TO_NULL };
  g_autoptr (Subject) subject = subject_new ("videotestsrc ! queue ! fakesink");
  GstElement *outer = gst_bin_new ("outer"), *inner = gst_bin_new ("inner");
  GstBin *pipeline = GST_BIN (subject->pipeline);
  g_autoptr (DscoreStopReport) report = NULL;

  gst_bin_add (GST_BIN (inner), odd_bin_new ("deep", &behaviour));
  gst_bin_add (GST_BIN (outer), inner);
  gst_bin_add (pipeline, outer);
  gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_READY);
  assert_names (dscore_stuck_changing (pipeline), "");
  report = subject_stop (subject, 0.2, 0.5);
  assert_names (dscore_stuck_changing (pipeline), "deep");
  g_assert_cmpstr (report->message, ==, "the pipeline hangs: deep did not reach the state NULL");
  g_atomic_int_set (&behaviour.released, 1);
  wait_for (are (dscore_stuck_changing (pipeline), ""));
}

static void
a_stuck_end_is_found_through_the_pads_of_bins (void)
{
  OddBehaviour plain = { 0 };
  GstElement *recorder = odd_bin_new ("recorder", &plain);
  g_autoptr (Subject) subject = subject_new ("videotestsrc is-live=true name=source ! queue name=before");
  g_autoptr (GstElement) source = element_of (subject->pipeline, "source");
  g_autoptr (GstElement) before = element_of (subject->pipeline, "before");
  GstBin *pipeline = GST_BIN (subject->pipeline);
  Hang *hang;

  odd_bin_fill (recorder, "fakesink name=slow async=false");
  gst_bin_add (pipeline, recorder);
  g_assert_true (gst_element_link (before, recorder));
  hang = hang_at (subject->pipeline, "slow", 0);
  subject_play (subject);
  wait_for (hang_is_hanging (hang));
  gst_element_send_event (source, gst_event_new_eos ());
  wait_for (are (dscore_stuck_ends (pipeline), "before → slow"));
  assert_names (dscore_stuck_unended_sinks (pipeline), "slow");
  assert_names (dscore_stuck_blocking (pipeline), "slow");
  hang_free (hang);
}

/* An answer has to fit into a message. */
static void
of_many_names_some_are_told (void)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *joined = NULL;

  for (guint i = 0; i < 1000; i++)
    g_ptr_array_add (names, g_strnfill (1000, 'x'));
  joined = dscore_names_join (names);
  g_assert_true (g_str_has_suffix (joined, "x and 980 more"));
  g_assert_cmpuint (strlen (joined), <, 5000);
}

static void
pads_that_nothing_feeds_are_named (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc ! compositor name=mixer ! fakesink");
  g_autoptr (GstElement) mixer = element_of (subject->pipeline, "mixer");
  g_autofree char *expected = NULL;
  GstPad *pad;

  assert_names (dscore_stuck_unlinked (GST_BIN (subject->pipeline)), "");
  pad = gst_element_request_pad (mixer, gst_element_get_pad_template (mixer, "sink_%u"), NULL, NULL);
  expected = dscore_walk_pad_name (pad);
  assert_names (dscore_stuck_unlinked (GST_BIN (subject->pipeline)), expected);
  gst_object_unref (pad);
}

/* One of two hangs: the other one's recording is whole, and takes no longer. */
static void
one_that_hangs_takes_no_time_of_another_one (void)
{
  g_autoptr (Subject) fine = subject_new (CAMERA " ! " MP4);
  g_autoptr (Subject) bad = subject_new (CAMERA " ! queue ! fakesink async=false name=stuck");
  g_autoptr (Frames) encoded = frames_count (fine->pipeline, "encoder", "src");
  g_autoptr (DscoreStopReport) report = NULL;
  DscoreGroup *group;
  Hang *hang = hang_at (bad->pipeline, "stuck", 0);

  subject_play (fine);
  subject_play (bad);
  wait_for (hang_is_hanging (hang) && frames_seen (encoded) >= 10);
  group = dscore_group_new (500000, g_get_monotonic_time () + 3 * G_TIME_SPAN_SECOND, NULL, NULL);
  g_assert_true (dscore_group_stop (group, fine->attachment));
  g_assert_true (dscore_group_stop (group, bad->attachment));
  g_assert_false (dscore_group_stop (group, bad->attachment));
  dscore_group_wait (group);
  report = dscore_group_report (group);
  dscore_group_free (group);
  hang_free (hang);
  g_assert_false (report->ok);
  g_assert_nonnull (strstr (report->message, ": Application terminated gracefully; "));
  g_assert_nonnull (strstr (report->message, ": the pipeline hangs: stuck did not reach the state NULL"));
  wait_for (GST_STATE (bad->pipeline) == GST_STATE_NULL);
  assert_whole (fine->path, encoded);
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_func ("/hangs/sink", a_sink_that_hangs_is_named);
  g_test_add_func ("/hangs/start", an_element_that_hangs_at_the_start_is_named);
  g_test_add_func ("/hangs/while-starting", stopped_while_it_starts_it_plays_to_its_end);
  g_test_add_func ("/hangs/behind", what_is_behind_an_element_that_hangs);
  g_test_add_func ("/hangs/camera", a_camera_that_hangs);
  g_test_add_func ("/hangs/innermost", what_hangs_is_found_in_the_innermost_bin);
  g_test_add_func ("/hangs/stuck-end", a_stuck_end_is_found_through_the_pads_of_bins);
  g_test_add_func ("/hangs/many", of_many_names_some_are_told);
  g_test_add_func ("/hangs/unlinked", pads_that_nothing_feeds_are_named);
  g_test_add_func ("/hangs/one-of-two", one_that_hangs_takes_no_time_of_another_one);
  return g_test_run ();
}
