/* What a pipeline tells: read from its bus, bounded, reported within measure. And the exit by force. */
#include "support.h"

#include "guard.h"

#include <dscore.h>
#include <unistd.h>

static DscorePipelineEvent *
event_of (GstMessage *message)
{
  DscorePipelineEvent *event = dscore_pipeline_event_read (GST_MESSAGE_SRC (message), message);

  gst_message_unref (message);
  return event;
}

static void
a_fault_is_read_with_its_cause (void)
{
  g_autoptr (GstElement) sink = gst_object_ref_sink (gst_element_factory_make ("fakesink", "sink"));
  g_autoptr (GError) error = g_error_new_literal (GST_STREAM_ERROR, 1, "lens is dirty");
  g_autoptr (DscorePipelineEvent) plain = event_of (gst_message_new_warning (GST_OBJECT (sink), error, "wipe it"));
  g_autoptr (DscorePipelineEvent) caused = event_of (gst_message_new_error (GST_OBJECT (sink), error, "file.c(1): f ():\nno\n  light"));
  g_autofree char *words = dscore_pipeline_event_to_string (caused);

  g_assert_cmpint (plain->kind, ==, DSCORE_PIPELINE_WARNING);
  g_assert_cmpstr (plain->message, ==, "lens is dirty");
  g_assert_cmpstr (json_object_get_string_member (plain->details, "debug"), ==, "wipe it");
  g_assert_cmpstr (words, ==, "error from sink: lens is dirty (no light)");
}

/* Applications make such by hand. GStreamer complains itself, and goes on. */
static void
a_fault_that_says_nothing_is_one (void)
{
  g_autoptr (GstElement) sink = gst_object_ref_sink (gst_element_factory_make ("fakesink", "sink"));
  g_autoptr (DscorePipelineEvent) event =
    event_of (gst_message_new_custom (GST_MESSAGE_ERROR, GST_OBJECT (sink), gst_structure_new_empty ("nothing")));

  g_assert_cmpint (event->kind, ==, DSCORE_PIPELINE_ERROR);
  g_assert_cmpstr (event->message, ==, "");
}

/* A character that the bound cuts through goes as a whole. */
static void
what_an_element_says_is_bounded (void)
{
  g_autoptr (GstElement) sink = gst_object_ref_sink (gst_element_factory_make ("fakesink", "sink"));
  g_autoptr (GError) error = g_error_new_literal (GST_STREAM_ERROR, 1, "dirty");

  for (guint offset = 0; offset < 4; offset++) {
    GString *debug = g_string_new ("\n");
    g_autoptr (DscorePipelineEvent) event = NULL;
    const char *text;

    for (guint i = 0; i < offset; i++)
      g_string_append_c (debug, 'x');
    for (guint i = 0; i < 100000; i++)
      g_string_append (debug, "→");
    event = event_of (gst_message_new_error (GST_OBJECT (sink), error, debug->str));
    text = json_object_get_string_member (event->details, "debug");
    g_assert_cmpuint (strlen (text), <=, 4096);
    g_assert_cmpuint (strlen (text), >, 4090);
    g_assert_true (g_utf8_validate (text, -1, NULL));
    g_assert_true (g_utf8_validate (event->message, -1, NULL));
    g_assert_cmpuint (strlen (event->message), <, 220);
    g_string_free (debug, TRUE);
  }
}

static void
the_ids_of_a_stream_are_read (void)
{
  g_autoptr (GstElement) sink = gst_object_ref_sink (gst_element_factory_make ("fakesink", "sink"));
  GstStructure *structure = gst_structure_new ("stream-add", "source-id", G_TYPE_UINT, 7, "sensor-id", G_TYPE_STRING, "door", NULL);
  g_autoptr (DscorePipelineEvent) event = event_of (gst_message_new_element (GST_OBJECT (sink), structure));
  g_autoptr (JsonObject) message = dscore_pipeline_event_to_message (event);
  JsonObject *details = json_object_get_object_member (message, "details");

  g_assert_cmpstr (json_object_get_string_member (message, "type"), ==, "pipeline_event");
  g_assert_cmpstr (json_object_get_string_member (message, "kind"), ==, "stream_added");
  g_assert_cmpint (json_object_get_int_member (details, "source_id"), ==, 7);
  g_assert_cmpstr (json_object_get_string_member (details, "sensor_id"), ==, "door");
  g_assert_null (event_of (gst_message_new_element (GST_OBJECT (sink), gst_structure_new_empty ("other"))));
}

static void
the_end_of_one_stream_is_not_the_pipeline_s (void)
{
  g_autoptr (Subject) subject = subject_new ("fakesink name=sink");
  g_autoptr (GstElement) sink = element_of (subject->pipeline, "sink");
  GstMessage *message = gst_message_new_eos (GST_OBJECT (sink));
  g_autoptr (DscorePipelineEvent) event = dscore_pipeline_event_read (subject->pipeline, message);

  g_assert_cmpint (event->kind, ==, DSCORE_PIPELINE_STREAM_EOS);
  gst_message_unref (message);
}

typedef struct {
  guint sent;
  gint64 kept_back;
} Server;

static gboolean
send (gpointer data, JsonObject *message)
{
  Server *server = data;

  server->sent++;
  server->kept_back = json_object_has_member (message, "kept_back") ? json_object_get_int_member (message, "kept_back") : 0;
  return TRUE;
}

static void
events_are_reported_within_measure (void)
{
  const char *kinds[] = { "warning", NULL };
  Server server = { 0 };
  g_autoptr (DscoreReporter) reporter = dscore_reporter_new (kinds, send, &server, NULL);
  g_autoptr (DscorePipelineEvent) warning = dscore_pipeline_event_new (DSCORE_PIPELINE_WARNING, "sink");
  g_autoptr (DscorePipelineEvent) other = dscore_pipeline_event_new (DSCORE_PIPELINE_EOS, "sink");

  dscore_reporter_see (reporter, other, 0);
  g_assert_cmpuint (server.sent, ==, 0);
  for (guint i = 0; i < 25; i++)
    dscore_reporter_see (reporter, warning, 5 * G_TIME_SPAN_SECOND + i);
  g_assert_cmpuint (server.sent, ==, 10);
  dscore_reporter_see (reporter, warning, 6 * G_TIME_SPAN_SECOND);
  g_assert_cmpuint (server.sent, ==, 11);
  g_assert_cmpint (server.kept_back, ==, 15);
  dscore_reporter_see (reporter, warning, 6 * G_TIME_SPAN_SECOND);
  g_assert_cmpint (server.kept_back, ==, 0);
}

static void
sources_that_come_and_go_are_events (void)
{
  const char *kinds[] = { "stream_added", "stream_removed", NULL };
  Server server = { 0 };
  g_autoptr (DscoreReporter) reporter = dscore_reporter_new (kinds, send, &server, NULL);
  g_autoptr (GstPipeline) pipeline = pipeline_of ("videotestsrc ! fakesink");
  g_autoptr (DscoreAttachment) attachment = dscore_attachment_new (pipeline, NULL, reporter);
  GstElement *extra = gst_element_factory_make ("videotestsrc", "extra");

  gst_bin_add (GST_BIN (pipeline), extra);
  gst_bin_add (GST_BIN (pipeline), gst_element_factory_make ("fakesink", NULL));
  g_assert_cmpuint (server.sent, ==, 1);
  gst_bin_remove (GST_BIN (pipeline), extra);
  g_assert_cmpuint (server.sent, ==, 2);
  dscore_attachment_detach (attachment);
  dscore_attachment_detach (attachment);
  gst_bin_add (GST_BIN (pipeline), gst_element_factory_make ("videotestsrc", NULL));
  g_assert_cmpuint (server.sent, ==, 2);
}

static void
the_guard_ends_a_process_that_hangs (void)
{
  if (g_test_subprocess ()) {
    dscore_guard_leave_armed (dscore_guard_arm (g_get_monotonic_time () + 50000));
    g_usleep (60 * G_USEC_PER_SEC);
    return;
  }
  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, 0);
  g_assert_false (g_test_trap_reached_timeout ());
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*leaving by force*");
}

static void
a_disarmed_guard_ends_nothing (void)
{
  gint64 limit = g_get_monotonic_time () + 2 * G_TIME_SPAN_SECOND;
  DscoreGuard *guard = dscore_guard_arm (limit);

  dscore_guard_disarm (guard);
  while (g_get_monotonic_time () < limit + 100 * G_TIME_SPAN_MILLISECOND)
    g_usleep (10000);
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_func ("/events/fault", a_fault_is_read_with_its_cause);
  g_test_add_func ("/events/nothing", a_fault_that_says_nothing_is_one);
  g_test_add_func ("/events/bounded", what_an_element_says_is_bounded);
  g_test_add_func ("/events/stream", the_ids_of_a_stream_are_read);
  g_test_add_func ("/events/stream-eos", the_end_of_one_stream_is_not_the_pipeline_s);
  g_test_add_func ("/events/measure", events_are_reported_within_measure);
  g_test_add_func ("/events/sources", sources_that_come_and_go_are_events);
  g_test_add_func ("/guard/hangs", the_guard_ends_a_process_that_hangs);
  g_test_add_func ("/guard/disarmed", a_disarmed_guard_ends_nothing);
  return g_test_run ();
}
