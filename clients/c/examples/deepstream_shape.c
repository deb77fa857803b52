/* A program of the shape of deepstream-app, under an agent: several pipelines, a main loop of its own, a timer that looks every
 * 40 ms whether all of them want to quit, a bus watch that ends at the end of stream, pipelines that are built anew from time to
 * time, and a teardown that waits in the main thread.
 *
 *     python -m dscore serve                                                    # in one terminal
 *     DSCORE_AGENT_URL=ws://127.0.0.1:8765/deepstream/ws DSCORE_AGENT_INSTANCE_ID=cameras \
 *         deepstream-shape 'videotestsrc is-live=true ! x264enc ! mp4mux ! filesink location=out.mp4'
 *     python -m dscore terminate --all --yes                                    # out.mp4 plays to its last frame
 *
 * What is the agent's is marked (1) to (6): docs/deepstream-app.md puts the same lines into the real one. */
#include <dscore-gst.h> /* (1) */
#include <stdio.h>
#include <stdlib.h>

#define EVENT_MS 40
#define MAX_PIPELINES 16

typedef struct {
  const char *launch;
  char *name;
  GstElement *pipeline;
  guint bus_watch;
  gboolean quit;
  gboolean failed;
} AppCtx;

static AppCtx contexts[MAX_PIPELINES];
static guint count;
static GMainLoop *loop;

static DscoreGstBinding *binding; /* (2) */

static int recreate_seconds, recreate_times = G_MAXINT, sleep_seconds;
static char **launches;

static const GOptionEntry OPTIONS[] = {
  { "recreate-sec", 0, 0, G_OPTION_ARG_INT, &recreate_seconds, "Build the pipelines anew every N seconds", "N" },
  { "recreate-times", 0, 0, G_OPTION_ARG_INT, &recreate_times, "Do so N times, and no more", "N" },
  { "sleep-sec", 0, 0, G_OPTION_ARG_INT, &sleep_seconds, "Have the main loop sleep for N seconds, again and again", "N" },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &launches, NULL, "PIPELINE…" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static gboolean
on_bus (GstBus *bus, GstMessage *message, gpointer data)
{
  AppCtx *context = data;
  g_autoptr (GError) error = NULL;

  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_ERROR:
    gst_message_parse_error (message, &error, NULL);
    g_printerr ("%s: %s\n", context->name, error->message);
    context->failed = context->quit = TRUE;
    break;
  case GST_MESSAGE_EOS:
    g_print ("%s: end of stream\n", context->name);
    context->quit = TRUE;
    context->bus_watch = 0;
    return G_SOURCE_REMOVE;
  default:
    break;
  }
  return G_SOURCE_CONTINUE;
}

static gboolean
create_pipeline (AppCtx *context)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstBus) bus = NULL;

  context->pipeline = gst_parse_launch (context->launch, &error);
  if (context->pipeline == NULL) {
    g_printerr ("%s: %s\n", context->name, error->message);
    return FALSE;
  }
  gst_object_ref_sink (context->pipeline);
  bus = gst_element_get_bus (context->pipeline);
  context->bus_watch = gst_bus_add_watch (bus, on_bus, context);
  dscore_gst_binding_add (binding, GST_PIPELINE (context->pipeline), context->name); /* (3) */
  return gst_element_set_state (context->pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
}

static void
destroy_pipeline (AppCtx *context)
{
  if (context->pipeline == NULL)
    return;
  dscore_gst_binding_remove (binding, GST_PIPELINE (context->pipeline)); /* (4) */
  gst_element_send_event (context->pipeline, gst_event_new_eos ());
  g_usleep (G_USEC_PER_SEC);
  gst_element_set_state (context->pipeline, GST_STATE_NULL);
  if (context->bus_watch != 0)
    g_source_remove (context->bus_watch);
  context->bus_watch = 0;
  g_clear_pointer (&context->pipeline, gst_object_unref);
}

/* The name is deepstream-app's; it is a timer of the main loop. */
static gboolean
event_thread (gpointer data)
{
  for (guint i = 0; i < count; i++)
    if (!contexts[i].quit)
      return G_SOURCE_CONTINUE;
  g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

static gboolean
recreate (gpointer data)
{
  for (guint i = 0; i < count; i++) {
    if (contexts[i].quit)
      continue;
    destroy_pipeline (&contexts[i]);
    contexts[i].quit = !create_pipeline (&contexts[i]);
  }
  g_print ("recreated\n");
  return --recreate_times > 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean
sleep_on (gpointer data)
{
  g_print ("asleep\n");
  g_usleep ((gulong) sleep_seconds * G_USEC_PER_SEC);
  return G_SOURCE_CONTINUE;
}

static void
on_exited (DscoreAgent *agent, int code, gpointer data) /* (5) */
{
  for (guint i = 0; i < count; i++)
    contexts[i].quit = TRUE;
}

static gboolean
read_arguments (int *argc, char ***argv)
{
  g_autoptr (GOptionContext) options = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (options, OPTIONS, NULL);
  g_option_context_add_group (options, gst_init_get_option_group ());
  if (!g_option_context_parse (options, argc, argv, &error)) {
    g_printerr ("%s\n", error->message);
    return FALSE;
  }
  if (launches == NULL || g_strv_length (launches) > MAX_PIPELINES) {
    g_printerr ("one to %d pipelines, each as after gst-launch-1.0\n", MAX_PIPELINES);
    return FALSE;
  }
  return TRUE;
}

static void
run (void)
{
  loop = g_main_loop_new (NULL, FALSE);
  g_timeout_add (EVENT_MS, event_thread, NULL);
  if (recreate_seconds > 0)
    g_timeout_add_seconds ((guint) recreate_seconds, recreate, NULL);
  if (sleep_seconds > 0)
    g_timeout_add (EVENT_MS, sleep_on, NULL);
  g_print ("running\n");
  g_main_loop_run (loop);
  g_main_loop_unref (loop);
}

static gboolean
start_all (void)
{
  for (count = 0; launches[count] != NULL; count++) {
    contexts[count].launch = launches[count];
    contexts[count].name = g_strdup_printf ("pipeline-%u", count);
    if (!create_pipeline (&contexts[count]))
      return FALSE;
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreConfig) config = NULL;
  g_autoptr (DscoreAgent) agent = NULL;
  gboolean failed = FALSE;
  int code;

  setvbuf (stdout, NULL, _IOLBF, 0);
  if (!read_arguments (&argc, &argv))
    return EXIT_FAILURE;

  config = dscore_config_load (g_getenv ("DSCORE_AGENT_CONFIG"), &error); /* (6) from here */
  agent = config == NULL ? NULL : dscore_agent_new (config);
  if (agent == NULL) {
    g_printerr ("%s\n", error->message);
    return DSCORE_EXIT_USAGE;
  }
  binding = dscore_gst_binding_new (agent);
  g_signal_connect (agent, "exited", G_CALLBACK (on_exited), NULL);
  dscore_agent_watch_signals (agent); /* to here; */

  if (!start_all () || !dscore_agent_start (agent, &error)) { /* and its start, */
    g_printerr ("%s\n", error == NULL ? "a pipeline does not start" : error->message);
    return EXIT_FAILURE;
  }
  run ();
  code = dscore_agent_close (agent, 10 * G_TIME_SPAN_SECOND); /* and its end, which gets the answer out first. */

  for (guint i = 0; i < count; i++) {
    failed = failed || contexts[i].failed;
    destroy_pipeline (&contexts[i]);
    g_free (contexts[i].name);
  }
  g_object_unref (binding);
  g_strfreev (launches);
  g_print ("done\n");
  return failed ? EXIT_FAILURE : code;
}
