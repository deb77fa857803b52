/* Pipelines under an agent that has no server: bound, let go, built anew, stopped. */
#include "host.h"
#include "support.h"

#include "binding-private.h"

static gboolean
is_bound (Host *host, GstPipeline *pipeline)
{
  g_autoptr (DscoreAttachment) attachment = dscore_gst_binding_lookup (host->binding, pipeline);

  return attachment != NULL;
}

static void
a_name_belongs_to_one_pipeline (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=2");
  g_autoptr (GstPipeline) first = pipeline_of ("videotestsrc ! fakesink");
  g_autoptr (GstPipeline) second = pipeline_of ("videotestsrc ! fakesink");

  dscore_gst_binding_add (host.binding, first, "camera");
  dscore_gst_binding_add (host.binding, second, "camera");
  g_assert_false (is_bound (&host, first));
  g_assert_true (is_bound (&host, second));
  dscore_gst_binding_add (host.binding, second, "camera");
  dscore_gst_binding_remove (host.binding, first);
  g_assert_true (is_bound (&host, second));
  dscore_gst_binding_remove (host.binding, second);
  dscore_gst_binding_remove (host.binding, second);
  g_assert_false (is_bound (&host, second));
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_STOPPED);
  host_clear (&host);
}

/* deepstream-app calls every one of its pipelines "pipeline". */
static void
a_pipeline_s_own_name_may_be_that_of_others (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=2");
  GstPipeline *pipelines[] = { pipeline_of ("videotestsrc ! fakesink"), pipeline_of ("videotestsrc ! fakesink"),
                               pipeline_of ("videotestsrc ! fakesink") };

  for (guint i = 0; i < G_N_ELEMENTS (pipelines); i++) {
    gst_object_set_name (GST_OBJECT (pipelines[i]), "pipeline");
    dscore_gst_binding_add (host.binding, pipelines[i], i == 2 ? "pipeline" : NULL);
  }
  for (guint i = 0; i < G_N_ELEMENTS (pipelines); i++)
    g_assert_true (is_bound (&host, pipelines[i]));
  host_clear (&host);
  for (guint i = 0; i < G_N_ELEMENTS (pipelines); i++)
    gst_object_unref (pipelines[i]);
}

/* deepstream-app frees its pipeline and makes a new one; nothing here keeps the old one. */
static void
a_pipeline_is_not_kept_alive (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=2");

  for (guint i = 0; i < 50; i++) {
    GstPipeline *pipeline = pipeline_of ("videotestsrc ! fakesink");
    gpointer alive = pipeline;

    g_object_add_weak_pointer (G_OBJECT (pipeline), &alive);
    dscore_gst_binding_add (host.binding, pipeline, NULL);
    gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_PAUSED);
    gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_NULL);
    if (i % 2 == 0)
      dscore_gst_binding_remove (host.binding, pipeline);
    gst_object_unref (pipeline);
    g_assert_null (alive);
  }
  host_clear (&host);
}

static void
all_that_are_bound_are_stopped (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=2");
  g_autoptr (Subject) first = subject_new (CAMERA " ! " MP4);
  g_autoptr (Subject) second = subject_new (CAMERA " ! " MJPEG);
  g_autoptr (Subject) let_go = subject_new ("videotestsrc is-live=true ! fakesink");
  g_autoptr (Frames) encoded = frames_count (first->pipeline, "encoder", "src");
  g_autoptr (Frames) also = frames_count (second->pipeline, "encoder", "src");

  dscore_gst_binding_add (host.binding, first->pipeline, "first");
  dscore_gst_binding_add (host.binding, second->pipeline, "second");
  dscore_gst_binding_add (host.binding, let_go->pipeline, "third");
  subject_play (first);
  subject_play (second);
  subject_play (let_go);
  dscore_gst_binding_remove (host.binding, let_go->pipeline);
  wait_for (frames_seen (encoded) >= 10 && frames_seen (also) >= 10);
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_STOPPED);
  g_assert_cmpint (GST_STATE (let_go->pipeline), >, GST_STATE_NULL);
  assert_whole (first->path, encoded);
  assert_whole (second->path, also);
  host_clear (&host);
}

static void
a_stream_without_an_end_is_incomplete (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=0.5");
  g_autoptr (Subject) subject = subject_new ("videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink sync=true");

  dscore_gst_binding_add (host.binding, subject->pipeline, NULL);
  subject_play (subject);
  wait_for (gst_element_get_state (GST_ELEMENT (subject->pipeline), NULL, NULL, 0) == GST_STATE_CHANGE_SUCCESS);
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_INCOMPLETE);
  host_clear (&host);
}

static void
a_pipeline_that_hangs_is_forced (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=0.5");
  g_autoptr (Subject) subject = subject_new (CAMERA " ! queue ! fakesink async=false name=stuck");
  Hang *hang = hang_at (subject->pipeline, "stuck", 0);

  dscore_gst_binding_add (host.binding, subject->pipeline, NULL);
  subject_play (subject);
  wait_for (hang_is_hanging (hang));
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_FORCED);
  hang_free (hang);
  wait_for (GST_STATE (subject->pipeline) == GST_STATE_NULL);
  host_clear (&host);
}

typedef struct {
  Host host;
  Subject *late;
  int asked; /* Atomic. */
} Rebuild;

static GstPadProbeReturn
bind_another (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Rebuild *rebuild = data;

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS && g_atomic_int_compare_and_exchange (&rebuild->asked, 0, 1))
    dscore_gst_binding_add (rebuild->host.binding, rebuild->late->pipeline, "late");
  return GST_PAD_PROBE_OK;
}

/* The program builds it while the others are being stopped: it is stopped, too. */
static void
one_that_is_bound_meanwhile_is_stopped_too (void)
{
  Rebuild rebuild = { .host = host_new ("pipeline_stop_timeout_sec=2") };
  g_autoptr (Subject) first = subject_new ("videotestsrc is-live=true ! identity name=i ! fakesink");
  g_autoptr (Subject) late = subject_new (CAMERA " ! " MJPEG);
  g_autoptr (Frames) seen = frames_count (first->pipeline, "i", "src");
  g_autoptr (Frames) encoded = frames_count (late->pipeline, "encoder", "src");
  g_autoptr (GstElement) identity = element_of (first->pipeline, "i");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (identity, "sink");

  rebuild.late = late;
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, bind_another, &rebuild, NULL);
  dscore_gst_binding_add (rebuild.host.binding, first->pipeline, "first");
  subject_play (first);
  subject_play (late);
  wait_for (frames_seen (seen) >= 3 && frames_seen (encoded) >= 3);
  g_assert_cmpint (host_stop (&rebuild.host), ==, DSCORE_EXIT_STOPPED);
  g_assert_true (rebuild.asked);
  assert_whole (late->path, encoded);
  host_clear (&rebuild.host);
}

static void
an_agent_outlives_its_binding (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=2");
  g_autoptr (Subject) subject = subject_new ("videotestsrc is-live=true ! fakesink");

  dscore_gst_binding_add (host.binding, subject->pipeline, NULL);
  g_object_ref (host.binding);
  subject_play (subject);
  g_object_run_dispose (G_OBJECT (host.binding));
  g_object_unref (host.binding);
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_STOPPED);
  g_assert_cmpint (GST_STATE (subject->pipeline), >, GST_STATE_NULL);
  host_clear (&host);
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_func ("/binding/name", a_name_belongs_to_one_pipeline);
  g_test_add_func ("/binding/own-name", a_pipeline_s_own_name_may_be_that_of_others);
  g_test_add_func ("/binding/not-kept", a_pipeline_is_not_kept_alive);
  g_test_add_func ("/binding/all", all_that_are_bound_are_stopped);
  g_test_add_func ("/binding/incomplete", a_stream_without_an_end_is_incomplete);
  g_test_add_func ("/binding/hangs", a_pipeline_that_hangs_is_forced);
  g_test_add_func ("/binding/meanwhile", one_that_is_bound_meanwhile_is_stopped_too);
  g_test_add_func ("/binding/outlived", an_agent_outlives_its_binding);
  return g_test_run ();
}
