/* The program's pipeline: played, stopped once, and never waited for where no thread can be made. */
#include "keeper.h"
#include "support.h"

typedef struct {
  GMainLoop *loop;
  DscoreExit code;
  char *cause;
} Over;

/* The linker puts this one in the place of GLib's: --wrap. */
GThread *__real_g_thread_try_new (const char *name, GThreadFunc func, gpointer data, GError **error);
GThread *__wrap_g_thread_try_new (const char *name, GThreadFunc func, gpointer data, GError **error);

static const char *refused; /* The thread that cannot be made. */

GThread *
__wrap_g_thread_try_new (const char *name, GThreadFunc func, gpointer data, GError **error)
{
  if (g_strcmp0 (name, refused) != 0)
    return __real_g_thread_try_new (name, func, data, error);
  g_set_error (error, G_THREAD_ERROR, G_THREAD_ERROR_AGAIN, "there are too many");
  return NULL;
}

static void
on_over (DscoreExit code, const char *cause, gpointer data)
{
  Over *over = data;

  over->code = code;
  over->cause = g_strdup (cause);
  g_main_loop_quit (over->loop);
}

static gboolean
give_up (gpointer data)
{
  g_error ("not over within 60 s");
  return G_SOURCE_REMOVE;
}

static DscoreAgent *
agent_new (void)
{
  const char *settings[] = { "url=ws://127.0.0.1:1/deepstream/ws", "instance_id=c-1", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreConfig) config = dscore_config_load_full (NULL, settings, NULL, &error);

  g_assert_no_error (error);
  return dscore_agent_new (config);
}

/* Turns the main loop until the keeper says that its pipeline is over. */
static void
play (DscoreKeeper *keeper, Over *over)
{
  guint timeout = g_timeout_add_seconds (60, give_up, NULL);

  over->loop = g_main_loop_new (NULL, FALSE);
  dscore_keeper_start (keeper, on_over, over);
  g_main_loop_run (over->loop);
  g_main_loop_unref (over->loop);
  g_source_remove (timeout);
}

static void
without_a_thread_it_is_over_and_says_so (gconstpointer name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreAgent) agent = agent_new ();
  g_autoptr (DscoreKeeper) keeper = dscore_keeper_new (agent, "videotestsrc ! fakesink", &error);
  Over over = { NULL };

  g_assert_no_error (error);
  refused = name;
  play (keeper, &over);
  refused = NULL;
  g_assert_cmpint (over.code, ==, DSCORE_EXIT_FAILED);
  g_assert_cmpstr (over.cause, ==, "pipeline does not start: no thread can be made");
  g_free (over.cause);
}

static void
count_stops (const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
  if (g_str_has_prefix (message, "pipeline_stopped "))
    g_atomic_int_inc ((int *) data);
}

/* Its own end, and the wish to end it, each had it stopped, and said so. */
static void
it_is_stopped_once (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreAgent) agent = agent_new ();
  g_autoptr (DscoreKeeper) keeper = dscore_keeper_new (agent, "videotestsrc num-buffers=3 ! fakesink", &error);
  Over over = { NULL };
  int stops = 0;
  guint handler = g_log_set_handler ("dscore", G_LOG_LEVEL_MASK, count_stops, &stops);

  g_assert_no_error (error);
  play (keeper, &over);
  g_assert_cmpint (over.code, ==, DSCORE_EXIT_STOPPED);
  g_assert_cmpint (dscore_keeper_stop (keeper), ==, DSCORE_EXIT_STOPPED);
  g_assert_cmpint (dscore_keeper_stop (keeper), ==, DSCORE_EXIT_STOPPED);
  g_assert_cmpint (g_atomic_int_get (&stops), ==, 1);
  g_log_remove_handler ("dscore", handler);
  g_free (over.cause);
}

typedef struct {
  Subject *subject;
  DscoreStopReport *report;
} Asker;

static gpointer
ask (gpointer data)
{
  Asker *asker = data;
  DscoreStopOptions options = { 5 * G_TIME_SPAN_SECOND, g_get_monotonic_time () + 10 * G_TIME_SPAN_SECOND, NULL, NULL };

  asker->report = dscore_attachment_stop (asker->subject->attachment, asker->subject->pipeline, &options);
  return NULL;
}

static void
asked_by_many_at_once_it_gives_them_one_report (void)
{
  g_autoptr (Subject) subject = subject_new (LIVE " ! " MJPEG);
  g_autoptr (Frames) taken = frames_count (subject->pipeline, "camera", "src");
  g_autoptr (Frames) encoded = frames_count (subject->pipeline, "encoder", "src");
  Asker askers[8];
  GThread *threads[G_N_ELEMENTS (askers)];

  subject_play (subject);
  wait_for (frames_seen (taken) >= 10);
  for (guint i = 0; i < G_N_ELEMENTS (askers); i++) {
    askers[i].subject = subject;
    threads[i] = g_thread_new ("asker", ask, &askers[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (askers); i++) {
    g_thread_join (threads[i]);
    g_assert_true (askers[i].report->ok);
    g_assert_true (askers[i].report->complete);
    g_assert_cmpint (askers[i].report->eos_us, ==, askers[0].report->eos_us);
  }
  for (guint i = 0; i < G_N_ELEMENTS (askers); i++)
    dscore_stop_report_free (askers[i].report);
  assert_whole (subject->path, encoded);
}

int
main (int argc, char **argv)
{
  test_start (&argc, &argv);
  g_test_add_data_func ("/keeper/no-thread-to-keep", "dscore-keeper", without_a_thread_it_is_over_and_says_so);
  g_test_add_data_func ("/keeper/no-thread-to-play", "dscore-play", without_a_thread_it_is_over_and_says_so);
  g_test_add_func ("/keeper/once", it_is_stopped_once);
  g_test_add_func ("/keeper/many-askers", asked_by_many_at_once_it_gives_them_one_report);
  return g_test_run ();
}
