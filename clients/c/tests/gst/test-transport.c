/* What carries a stream to a peer: webrtcbin, which is neither source nor sink, whatever its flags say. */
#include "stuck.h"
#include "support.h"
#include "walk.h"

#define RTP "vp8enc deadline=1 ! rtpvp8pay ! application/x-rtp,media=video,encoding-name=VP8,payload=96"

static gboolean
is_at_least (guint major, guint minor)
{
  guint its_major, its_minor, micro, nano;

  gst_version (&its_major, &its_minor, &micro, &nano);
  return its_major > major || (its_major == major && its_minor >= minor);
}

/* Two webrtcbins of a pipeline. Descriptions of sessions go from one to the other unread, so no header of theirs is needed. */
typedef struct {
  GstPipeline *pipeline;
  GstElement *a, *b;
  int arrived; /* Atomic: the second one gets frames. */
} Pair;

static gboolean
is_left_out (void)
{
  gboolean missing = !has_plugin ("webrtcbin") || !has_plugin ("nicesink");

  if (missing)
    g_test_skip ("no webrtcbin: make setup-gst");
  return missing;
}

static void
describe (GstElement *one, const char *action, gconstpointer description)
{
  GstPromise *promise = gst_promise_new ();

  g_signal_emit_by_name (one, action, description, promise);
  gst_promise_unref (promise);
}

static gconstpointer
description_in (GstPromise *promise, const char *field)
{
  const GValue *value = gst_structure_get_value (gst_promise_get_reply (promise), field);

  g_assert_nonnull (value);
  return g_value_get_boxed (value);
}

static void
on_answered (GstPromise *promise, gpointer data)
{
  Pair *pair = data;
  gconstpointer answer = description_in (promise, "answer");

  describe (pair->b, "set-local-description", answer);
  describe (pair->a, "set-remote-description", answer);
  gst_promise_unref (promise);
}

static void
on_offered (GstPromise *promise, gpointer data)
{
  Pair *pair = data;
  gconstpointer offer = description_in (promise, "offer");

  describe (pair->a, "set-local-description", offer);
  describe (pair->b, "set-remote-description", offer);
  g_signal_emit_by_name (pair->b, "create-answer", NULL, gst_promise_new_with_change_func (on_answered, pair, NULL));
  gst_promise_unref (promise);
}

static void
on_negotiation_needed (GstElement *one, gpointer data)
{
  g_signal_emit_by_name (one, "create-offer", NULL, gst_promise_new_with_change_func (on_offered, data, NULL));
}

static void
on_candidate (GstElement *one, guint line, const char *candidate, gpointer other)
{
  g_signal_emit_by_name (other, "add-ice-candidate", line, candidate);
}

static void
on_received (GstElement *one, GstPad *pad, gpointer data)
{
  Pair *pair = data;
  GstElement *sink = gst_element_factory_make ("fakesink", NULL);
  g_autoptr (GstPad) into = gst_element_get_static_pad (sink, "sink");

  gst_bin_add (GST_BIN (pair->pipeline), sink);
  gst_element_sync_state_with_parent (sink);
  gst_pad_link (pad, into);
  g_atomic_int_set (&pair->arrived, 1);
}

static void
pair_up (Pair *pair, GstPipeline *pipeline)
{
  *pair = (Pair){ .pipeline = pipeline, .a = element_of (pipeline, "a"), .b = element_of (pipeline, "b") };
  g_signal_connect (pair->a, "on-ice-candidate", G_CALLBACK (on_candidate), pair->b);
  g_signal_connect (pair->b, "on-ice-candidate", G_CALLBACK (on_candidate), pair->a);
  g_signal_connect (pair->a, "on-negotiation-needed", G_CALLBACK (on_negotiation_needed), pair);
  g_signal_connect (pair->b, "pad-added", G_CALLBACK (on_received), pair);
}

static void
with_a_peer_it_is_no_obstacle (void)
{
  g_autoptr (Subject) subject = NULL;
  g_autoptr (Frames) encoded = NULL;
  g_autoptr (DscoreStopReport) report = NULL;
  Pair pair;

  if (is_left_out ())
    return;
  subject = subject_new ("webrtcbin name=a webrtcbin name=b " CAMERA " ! tee name=t ! queue ! " RTP " ! a. t. ! queue ! " MP4);
  encoded = frames_count (subject->pipeline, "encoder", "src");
  pair_up (&pair, subject->pipeline);
  subject_play (subject);
  wait_for (g_atomic_int_get (&pair.arrived));
  wait_for (frames_seen (encoded) >= 10);
  g_assert_true (dscore_walk_is_transport (pair.a));
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->ok);
  g_assert_true (report->complete);
  g_assert_cmpint (report->eos_us + report->null_us, <, 6 * G_TIME_SPAN_SECOND);
  assert_whole (subject->path, encoded);
  gst_object_unref (pair.a);
  gst_object_unref (pair.b);
}

static void
without_a_peer_it_is_named (void)
{
  g_autoptr (Subject) subject = NULL;
  g_autoptr (Frames) taken = NULL;
  g_autoptr (Frames) encoded = NULL;
  g_autoptr (DscoreStopReport) report = NULL;

  if (is_left_out ())
    return;
  subject = subject_new ("webrtcbin name=a " CAMERA " ! tee name=t ! queue max-size-buffers=4 ! " RTP " ! a. t. ! queue ! " MP4);
  taken = frames_count (subject->pipeline, "t", "sink");
  encoded = frames_count (subject->pipeline, "encoder", "src");
  subject_play (subject);
  frames_stand_still (taken);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->ok);
  g_assert_cmpint (report->eos_us + report->null_us, <, 6 * G_TIME_SPAN_SECOND);
  /* Before GStreamer 1.20 it has nothing that sends until there is a peer: the pipeline's end waits for none of it. */
  if (is_at_least (1, 20))
    g_assert_nonnull (strstr (report->message, "held up by a"));
  assert_whole (subject->path, encoded);
}

static void
what_says_that_it_is_a_source_and_takes_data_is_a_transport (void)
{
  g_autoptr (Subject) subject = NULL;
  g_autoptr (GstElement) transport = NULL;
  g_autoptr (GstElement) inside = NULL;
  g_autoptr (GstElement) plain = NULL;
  g_autoptr (GPtrArray) sources = NULL;
  g_autoptr (GPtrArray) unended = NULL;

  if (is_left_out ())
    return;
  if (!is_at_least (1, 20)) {
    g_test_skip ("before GStreamer 1.20 webrtcbin sends nothing, and says nothing, until there is a peer");
    return;
  }
  subject = subject_new ("videotestsrc name=plain ! vp8enc ! rtpvp8pay ! webrtcbin name=w");
  transport = element_of (subject->pipeline, "w");
  inside = gst_bin_get_by_name (GST_BIN (transport), "rtpbin");
  plain = element_of (subject->pipeline, "plain");
  sources = dscore_walk_sources (GST_BIN (subject->pipeline));
  g_assert_true (dscore_walk_is_transport (transport));
  g_assert_false (dscore_walk_is_transport (plain));
  g_assert_cmpuint (sources->len, ==, 1);
  g_assert_true (sources->pdata[0] == plain);
  unended = dscore_stuck_unended_sinks (GST_BIN (subject->pipeline));
  g_assert_cmpuint (unended->len, ==, 1);
  g_assert_cmpstr (unended->pdata[0], ==, "w");
  g_assert_true (dscore_walk_is_private (inside));
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_func ("/transport/flags", what_says_that_it_is_a_source_and_takes_data_is_a_transport);
  g_test_add_func ("/transport/with-peer", with_a_peer_it_is_no_obstacle);
  g_test_add_func ("/transport/without-peer", without_a_peer_it_is_named);
  return g_test_run ();
}
