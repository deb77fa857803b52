/* What no page of ours has a program do with its binding: replace it, let go in the middle of a stop, build for ever. */
#include "host.h"
#include "support.h"

#include <string.h>

/* As a program that builds its binding anew: the new one's pipelines were not stopped, for the old one took its function away. */
static void
a_binding_that_goes_leaves_the_next_one_alone (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=2");
  g_autoptr (Subject) subject = subject_new (CAMERA " ! " MJPEG);
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  DscoreGstBinding *former = g_steal_pointer (&host.binding);

  host.binding = dscore_gst_binding_new (host.agent);
  dscore_gst_binding_set_force_exit (host.binding, FALSE);
  dscore_gst_binding_add (host.binding, subject->pipeline, NULL);
  g_object_unref (former);
  subject_play (subject);
  wait_for (frames_seen (encoded) >= 5);
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_STOPPED);
  assert_whole (subject->path, encoded);
  host_clear (&host);
}

static gpointer
replace_for_a_while (gpointer data)
{
  DscoreAgent *agent = data;

  while (dscore_agent_get_state (agent) != DSCORE_STATE_CLOSED) {
    g_autoptr (DscoreGstBinding) binding = dscore_gst_binding_new (agent);

    dscore_gst_binding_set_force_exit (binding, FALSE);
    g_usleep (1000); /* The worker is to have its turn, too. */
  }
  return NULL;
}

/* Under the sanitizers: the worker calls a function whose data another thread frees. */
static void
a_binding_is_replaced_while_it_is_asked (void)
{
  for (guint i = 0; i < 10; i++) {
    Host host = host_new ("pipeline_stop_timeout_sec=2");
    GThread *thread = g_thread_new ("replacer", replace_for_a_while, host.agent);

    g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_STOPPED);
    g_thread_join (thread);
    host_clear (&host);
  }
}

static GstPadProbeReturn
dispose_of_it (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS)
    g_object_run_dispose (G_OBJECT (((Host *) data)->binding));
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
let_it_go (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Host *host = data;
  g_autoptr (GstElement) element = gst_pad_get_parent_element (pad);
  g_autoptr (GstObject) pipeline = gst_object_get_parent (GST_OBJECT (element));

  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) == GST_EVENT_EOS)
    dscore_gst_binding_remove (host->binding, GST_PIPELINE (pipeline));
  return GST_PAD_PROBE_OK;
}

/* Its bus is heard no more, and so its end is not: it was waited for in vain, and the recording called incomplete. */
static void
in_the_middle_of_a_stop (gconstpointer what)
{
  Host host = host_new ("pipeline_stop_timeout_sec=3");
  g_autoptr (Subject) subject = subject_new (CAMERA " ! identity name=i ! " MJPEG);
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (GstElement) identity = element_of (subject->pipeline, "i");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (identity, "sink");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, what == NULL ? dispose_of_it : let_it_go, &host, NULL);
  dscore_gst_binding_add (host.binding, subject->pipeline, NULL);
  subject_play (subject);
  wait_for (frames_seen (encoded) >= 5);
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_STOPPED);
  assert_whole (subject->path, encoded);
  host_clear (&host);
}

typedef struct {
  Host host;
  int over; /* Atomic. */
  guint built;
} Watchdog;

/* A program that plays a new pipeline whenever its own has ended. */
static gpointer
build_anew (gpointer data)
{
  Watchdog *watchdog = data;

  while (!g_atomic_int_get (&watchdog->over)) {
    g_autoptr (GstPipeline) pipeline = pipeline_of ("videotestsrc is-live=true ! fakesink");

    dscore_gst_binding_add (watchdog->host.binding, pipeline, NULL);
    gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_PLAYING);
    while (GST_STATE (pipeline) != GST_STATE_PLAYING && !g_atomic_int_get (&watchdog->over))
      g_usleep (1000);
    while (GST_STATE (pipeline) != GST_STATE_NULL && !g_atomic_int_get (&watchdog->over))
      g_usleep (1000);
    gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_NULL);
    watchdog->built++;
  }
  return NULL;
}

static void
a_program_that_builds_it_anew_for_ever_is_not_waited_for (void)
{
  Watchdog watchdog = { .host = host_new ("pipeline_stop_timeout_sec=2") };
  GThread *thread = g_thread_new ("watchdog", build_anew, &watchdog);
  gint64 began = g_get_monotonic_time ();

  host_stop (&watchdog.host);
  g_assert_cmpint (g_get_monotonic_time () - began, <, 15 * G_TIME_SPAN_SECOND);
  g_atomic_int_set (&watchdog.over, 1);
  g_thread_join (thread);
  g_assert_cmpuint (watchdog.built, >=, 1);
  host_clear (&watchdog.host);
}

static void
on_terminate (DscoreAgent *agent, DscoreTermination *termination, gpointer data)
{
  dscore_termination_finish_incomplete (termination, "the program's own words");
}

static gpointer
turn (gpointer data)
{
  while (!g_atomic_int_get ((int *) data))
    g_main_context_iteration (NULL, FALSE);
  return NULL;
}

/* The binding is gone, and the program answers for itself. */
static void
without_a_binding_the_program_answers (void)
{
  Host host = host_new ("pipeline_stop_timeout_sec=2");
  int over = 0;
  GThread *thread;

  g_signal_connect (host.agent, "terminate", G_CALLBACK (on_terminate), NULL);
  g_object_unref (host.binding);
  thread = g_thread_new ("loop", turn, &over);
  g_assert_cmpint (host_stop (&host), ==, DSCORE_EXIT_INCOMPLETE);
  g_atomic_int_set (&over, 1);
  g_thread_join (thread);
  g_object_unref (host.agent);
}

static GstBusSyncReply
drop (GstBus *bus, GstMessage *message, gpointer data)
{
  gst_message_unref (message);
  return GST_BUS_DROP;
}

/* Nothing is told of it to others then. */
static void
a_program_that_drops_what_the_bus_says (void)
{
  g_autoptr (Subject) subject = subject_new (CAMERA " ! " MJPEG);
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  g_autoptr (GstBus) bus = gst_element_get_bus (GST_ELEMENT (subject->pipeline));
  g_autoptr (DscoreStopReport) report = NULL;

  gst_bus_set_sync_handler (bus, drop, NULL, NULL);
  subject_play (subject);
  wait_for (frames_seen (encoded) >= 5);
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  g_assert_cmpint (report->eos_us, <, 5 * G_TIME_SPAN_SECOND);
  assert_whole (subject->path, encoded);
}

static void
one_that_is_bound_after_its_end (void)
{
  g_autoptr (GstPipeline) pipeline = pipeline_of ("videotestsrc num-buffers=3 ! fakesink");
  g_autoptr (GstBus) bus = gst_element_get_bus (GST_ELEMENT (pipeline));
  g_autoptr (GstMessage) end = NULL;
  g_autoptr (Subject) subject = NULL;
  g_autoptr (DscoreStopReport) report = NULL;

  gst_element_set_state (GST_ELEMENT (pipeline), GST_STATE_PLAYING);
  end = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_EOS);
  g_assert_nonnull (end);
  subject = subject_of (gst_object_ref (pipeline));
  report = subject_stop (subject, 5, 10);
  g_assert_true (report->complete);
  g_assert_cmpint (report->eos_us, <, 5 * G_TIME_SPAN_SECOND);
}

static gpointer
take_away (gpointer pipeline)
{
  g_usleep (G_TIME_SPAN_SECOND / 5);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return NULL;
}

/* As at the end of a main function, while the stop waits for an end that comes late. */
static void
one_that_its_program_takes_to_null (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink name=sink sync=true");
  g_autoptr (Frames) frames = frames_count (subject->pipeline, "sink", "sink");
  g_autoptr (DscoreStopReport) report = NULL;
  GThread *thread;

  subject_play (subject);
  wait_for (frames_seen (frames) >= 1);
  thread = g_thread_new ("program", take_away, subject->pipeline);
  report = subject_stop (subject, 30, 60);
  g_thread_join (thread);
  g_assert_true (report->ok);
  g_assert_false (report->complete);
  g_assert_nonnull (strstr (report->message, "; the program stopped the pipeline before its streams had ended"));
  g_assert_cmpint (report->eos_us, <, 20 * G_TIME_SPAN_SECOND);
}

static void
count_lines (const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
  if (g_str_has_prefix (message, "pipeline_warning "))
    g_atomic_int_inc ((int *) data);
}

/* Each of its words is new: how late the frame is. */
static void
an_element_that_warns_a_thousand_times (void)
{
  g_autoptr (Subject) subject = subject_new ("videotestsrc name=camera ! fakesink");
  g_autoptr (GstElement) camera = element_of (subject->pipeline, "camera");
  gint64 began = g_get_monotonic_time ();
  int lines = 0;
  guint handler = g_log_set_handler ("dscore", G_LOG_LEVEL_MASK, count_lines, &lines);

  for (guint i = 0; i < 1000; i++)
    GST_ELEMENT_WARNING (camera, CORE, CLOCK, ("late by %u", i), (NULL));
  g_log_remove_handler ("dscore", handler);
  g_assert_cmpint (lines, >=, 50);
  g_assert_cmpint (lines, <=, 50 * (1 + (g_get_monotonic_time () - began) / (10 * G_TIME_SPAN_SECOND)));
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_func ("/odd/next", a_binding_that_goes_leaves_the_next_one_alone);
  g_test_add_func ("/odd/replaced", a_binding_is_replaced_while_it_is_asked);
  g_test_add_data_func ("/odd/disposed", NULL, in_the_middle_of_a_stop);
  g_test_add_data_func ("/odd/let-go", "let go", in_the_middle_of_a_stop);
  g_test_add_func ("/odd/watchdog", a_program_that_builds_it_anew_for_ever_is_not_waited_for);
  g_test_add_func ("/odd/program-answers", without_a_binding_the_program_answers);
  g_test_add_func ("/odd/drops", a_program_that_drops_what_the_bus_says);
  g_test_add_func ("/odd/bound-late", one_that_is_bound_after_its_end);
  g_test_add_func ("/odd/taken-to-null", one_that_its_program_takes_to_null);
  g_test_add_func ("/odd/warns", an_element_that_warns_a_thousand_times);
  return g_test_run ();
}
