/* What host programs do that no page of ours has: close twice, let go within a callback, fork. None of it needs a server. */
#include "config-private.h"
#include "dscore-agent.h"

#include <glib/gstdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_US (60 * G_USEC_PER_SEC)

static DscoreAgent *
agent_new (const char *setting)
{
  /* Port 1 is nothing's. */
  const char *const settings[] = { "url=ws://127.0.0.1:1/deepstream/ws", "instance_id=c-1", "graceful_shutdown_timeout_sec=5", setting,
                                   NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreConfig) config = dscore_config_load_full (NULL, settings, NULL, &error);
  g_assert_no_error (error);
  return dscore_agent_new (config);
}

static void
start (DscoreAgent *agent)
{
  g_autoptr (GError) error = NULL;
  dscore_agent_start (agent, &error);
  g_assert_no_error (error);
}

static gpointer
close_it (gpointer agent)
{
  return GINT_TO_POINTER (dscore_agent_close (agent, LONG_US));
}

static void
test_closed_by_eight_threads_at_once (void)
{
  for (guint round = 0; round < 20; round++)
    {
      g_autoptr (DscoreAgent) agent = agent_new (NULL);
      GThread *threads[8];
      start (agent);
      for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
        threads[i] = g_thread_new ("closer", close_it, agent);
      for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
        g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (threads[i])), ==, DSCORE_EXIT_STOPPED);
    }
}

static gpointer
close_without_a_bound (gpointer agent)
{
  return GINT_TO_POINTER (dscore_agent_close (agent, -1));
}

/* A close that waited for the worker of a start that failed meanwhile waited for ever. */
static void
test_closed_while_a_start_fails (void)
{
  g_autofree char *path = NULL;
  g_autofree char *blank = g_strnfill (7 * 1024 * 1024, '\n'); /* holds no certificate, and takes a while to read */
  int descriptor = g_file_open_tmp ("dscore-XXXXXX.pem", &path, NULL);
  g_assert_true (descriptor >= 0 && g_file_set_contents (path, blank, -1, NULL));
  close (descriptor);
  g_autofree char *setting = g_strconcat ("ca_file=", path, NULL);
  for (guint round = 0; round < 30; round++)
    {
      g_autoptr (DscoreAgent) agent = agent_new (setting);
      GThread *thread = g_thread_new ("closer", close_without_a_bound, agent);
      g_autoptr (GError) error = NULL;
      g_assert_false (dscore_agent_start (agent, &error));
      g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, DSCORE_EXIT_STOPPED);
      g_clear_error (&error);
      g_assert_false (dscore_agent_start (agent, &error));
      g_assert_error (error, DSCORE_ERROR, DSCORE_ERROR_STARTED);
    }
  g_unlink (path);
}

typedef struct {
  DscoreAgent *agent;
  GMainLoop *loop;
  gboolean called;
} Host;

static gboolean
give_up (gpointer data)
{
  g_error ("not over within a minute");
  return G_SOURCE_REMOVE;
}

/* Turns the main loop until a callback quits it. */
static void
turn (Host *host)
{
  guint timeout = g_timeout_add_seconds (60, give_up, NULL);
  g_main_loop_run (host->loop);
  g_source_remove (timeout);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
on_exited (DscoreAgent *agent, int code, gpointer data)
{
  Host *host = data;
  host->called = TRUE;
  g_assert_cmpint (dscore_agent_close (agent, -1), ==, code);
  g_clear_object (&host->agent);
  g_main_loop_quit (host->loop);
}

static void
on_state_once (DscoreAgent *agent, GParamSpec *pspec, gpointer data)
{
  Host *host = data;
  g_clear_object (&host->agent);
  g_main_loop_quit (host->loop);
}

static void
on_terminate (DscoreAgent *agent, DscoreTermination *termination, gpointer data)
{
  Host *host = data;
  host->called = TRUE;
  /* Of its own accord the answer comes at the deadline. */
  g_object_run_dispose (G_OBJECT (agent));
  g_clear_object (&host->agent);
  dscore_termination_finish (termination, TRUE, NULL);
  g_main_loop_quit (host->loop);
}

static void
test_let_go_within_its_own_callbacks (void)
{
  static const struct { const char *signal; GCallback handler; } cases[] = { { "exited", G_CALLBACK (on_exited) },
                                                                             { "notify::state", G_CALLBACK (on_state_once) },
                                                                             { "terminate", G_CALLBACK (on_terminate) } };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Host host = { agent_new (NULL), g_main_loop_new (NULL, FALSE), FALSE };
      gpointer alive = host.agent;
      g_object_add_weak_pointer (G_OBJECT (host.agent), &alive);
      g_signal_connect (host.agent, cases[i].signal, cases[i].handler, &host);
      start (host.agent);
      dscore_agent_stop (host.agent, "test");
      turn (&host);
      gint64 until = g_get_monotonic_time () + LONG_US;
      while (alive != NULL && g_get_monotonic_time () < until)
        g_main_context_iteration (NULL, FALSE);
      g_assert_null (alive);
      g_main_loop_unref (host.loop);
    }
}

static void
stop_and_let_go (DscoreAgent *agent, DscoreTermination *termination, gpointer data)
{
  Host *host = data;
  /* In the worker: not waited for. */
  g_assert_cmpint (dscore_agent_close (agent, -1), ==, -1);
  dscore_agent_set_stop_func (agent, NULL, NULL, NULL);
  g_clear_object (&host->agent);
  dscore_termination_finish (termination, TRUE, NULL);
  g_atomic_int_set (&host->called, TRUE);
}

static void
test_let_go_within_its_worker (void)
{
  Host host = { agent_new (NULL), NULL, FALSE };
  gpointer alive = host.agent;
  g_object_add_weak_pointer (G_OBJECT (host.agent), &alive);
  dscore_agent_set_stop_func (host.agent, stop_and_let_go, &host, NULL);
  start (host.agent);
  dscore_agent_stop (host.agent, "test");
  gint64 until = g_get_monotonic_time () + LONG_US;
  while (!g_atomic_int_get (&host.called) && g_get_monotonic_time () < until)
    g_usleep (1000);
  g_assert_true (g_atomic_int_get (&host.called));
  while (g_atomic_pointer_get (&alive) != NULL && g_get_monotonic_time () < until)
    g_usleep (1000);
  g_assert_null (g_atomic_pointer_get (&alive));
}

/* Without the checks each of these would wait in the child: for a worker that is the parent's, or for a lock that was held at the fork. */
static void
use_in_child (DscoreAgent *agent)
{
  g_autoptr (GError) error = NULL;
  if (dscore_agent_close (agent, -1) != -1)
    _exit (1);
  if (dscore_agent_send_text (agent, "{\"type\": \"work\"}", -1, &error) || !g_error_matches (error, DSCORE_ERROR, DSCORE_ERROR_CLOSED))
    _exit (2);
  if (dscore_agent_get_state (agent) != DSCORE_STATE_CLOSED)
    _exit (3);
  dscore_agent_set_stop_func (agent, NULL, NULL, NULL);
  dscore_agent_watch_signals (agent);
  dscore_agent_stop (agent, "forked");
  _exit (dscore_agent_start (agent, NULL) ? 4 : 0);
}

static void
test_a_child_has_no_agent (void)
{
  g_autoptr (DscoreAgent) agent = agent_new (NULL);
  start (agent);
  for (guint i = 0; i < 20; i++)
    {
      int status;
      pid_t child = fork ();
      if (child == 0)
        {
          alarm (60); /* one that waits is seen, and not left behind */
          use_in_child (agent);
        }
      g_assert_cmpint (waitpid (child, &status, 0), ==, child);
      g_assert_true (WIFEXITED (status));
      g_assert_cmpint (WEXITSTATUS (status), ==, 0);
    }
  g_assert_cmpint (dscore_agent_close (agent, LONG_US), ==, DSCORE_EXIT_STOPPED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* That no server is there is warned of. */
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  g_test_add_func ("/host/closed_by_eight_threads_at_once", test_closed_by_eight_threads_at_once);
  g_test_add_func ("/host/closed_while_a_start_fails", test_closed_while_a_start_fails);
  g_test_add_func ("/host/let_go_within_its_own_callbacks", test_let_go_within_its_own_callbacks);
  g_test_add_func ("/host/let_go_within_its_worker", test_let_go_within_its_worker);
  g_test_add_func ("/host/a_child_has_no_agent", test_a_child_has_no_agent);
  return g_test_run ();
}
