/* An agent that is the whole process, with a pipeline or without one: `dscore agent` in C.
 *
 * What the agent says ends it (`exited`), or what its pipeline does (`keeper.h`); whichever comes first. */
#include <dscore.h>

#include "lines.h"
#include "log.h"
#ifdef DSCORE_HAVE_GST
#include "keeper.h"
#endif

#include <locale.h>

#define CONFIG_VARIABLE "DSCORE_AGENT_CONFIG"
#define PIPELINE_VARIABLE "DSCORE_AGENT_PIPELINE"
#define LEVEL_VARIABLE "DSCORE_AGENT_LOG_LEVEL"

typedef struct {
  char *config;
  char *url;
  char *instance_id;
  char *pipeline;
  char *level;
  char **settings;
} Options;

typedef struct {
  GMainLoop *loop;
  DscoreAgent *agent;
  int code;
  char *cause; /* what became of the pipeline; NULL: nothing */
} Program;

static void
on_exited (DscoreAgent *agent, int code, gpointer data)
{
  Program *self = data;
  self->code = code;
  g_main_loop_quit (self->loop);
}

static gboolean
parse_options (Options *options, int *argc, char ***argv, GError **error)
{
  const GOptionEntry entries[] = {
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config,
      "Settings, a file with a section [websocket] (or " CONFIG_VARIABLE ")", "FILE" },
    { "url", 0, 0, G_OPTION_ARG_STRING, &options->url,
      "The server's address for agents (default: ws://127.0.0.1:8765/deepstream/ws)", "URL" },
    { "instance-id", 0, 0, G_OPTION_ARG_STRING, &options->instance_id,
      "This agent's name in the fleet (default: made of the machine's)", "ID" },
    { "pipeline", 0, 0, G_OPTION_ARG_STRING, &options->pipeline,
      "A GStreamer pipeline to run, as for gst-launch-1.0 (or " PIPELINE_VARIABLE ")", "LAUNCH" },
    { "set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->settings,
      "Any setting of the file; may be given several times", "KEY=VALUE" },
    { "log-level", 0, 0, G_OPTION_ARG_STRING, &options->level,
      "The least level that is written: debug, info, warning, error (default: info; or " LEVEL_VARIABLE ")", "LEVEL" },
    { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_option_context_set_summary (context, "Runs an agent: holds the connection, runs a pipeline, stops both when told to.");
  g_option_context_set_description (
    context, "SIGTERM or ctrl-C stops the pipeline gracefully, then ends; a second ctrl-C ends at once. SIGUSR1 writes the state of\n"
             "the connection to the log. Flags win over DSCORE_AGENT_KEY variables (DSCORE_AGENT_URL, and so on), these over the file;\n"
             "docs/agent.md lists every key.\n\n"
             "Exits with 0 if it was told to stop, or a file was played to its end; 1 if the pipeline failed; 2 if a setting is\n"
             "wrong; 3 if it had to be stopped by force; 5 if a stream did not reach its end; 6 if a live pipeline ended unasked.\n"
             "A refused token ends nothing: it plays on and tries again.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc > 1)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "what is %s? Options begin with --", (*argv)[1]);
  return *argc == 1;
}

/* A variable of the command line's own options, which are no settings. */
static void
take_variable (char ***environment, char **option, const char *name)
{
  const char *value = g_environ_getenv (*environment, name);
  if (*option == NULL && value != NULL && *value != '\0')
    *option = g_strdup (value);
  *environment = g_environ_unsetenv (*environment, name);
}

static DscoreConfig *
load (Options *options, GError **error)
{
  g_auto (GStrv) environment = g_get_environ ();
  g_autoptr (GPtrArray) settings = g_ptr_array_new_with_free_func (g_free);
  const char *level_of = options->level != NULL ? "--log-level" : LEVEL_VARIABLE;
  take_variable (&environment, &options->config, CONFIG_VARIABLE);
  take_variable (&environment, &options->pipeline, PIPELINE_VARIABLE);
  take_variable (&environment, &options->level, LEVEL_VARIABLE);
  for (char **one = options->settings; one != NULL && *one != NULL; one++)
    g_ptr_array_add (settings, g_strdup (*one));
  if (options->url != NULL)
    g_ptr_array_add (settings, g_strconcat ("url=", options->url, NULL));
  if (options->instance_id != NULL)
    g_ptr_array_add (settings, g_strconcat ("instance_id=", options->instance_id, NULL));
  g_ptr_array_add (settings, NULL);
  if (options->level == NULL)
    options->level = g_strdup ("info");
  if (!lines_install (options->level))
    {
      g_set_error (error, DSCORE_ERROR, DSCORE_ERROR_CONFIG, "%s: must be debug, info, warning or error, not '%s'", level_of,
                   options->level);
      return NULL;
    }
  return dscore_config_load_full (options->config, (const char *const *) settings->pdata, (const char *const *) environment, error);
}

static int
fail (GError *error)
{
  g_printerr ("dscore-agent-c: %s\n", error->message);
  g_error_free (error);
  return DSCORE_EXIT_USAGE;
}

#ifdef DSCORE_HAVE_GST
static void
on_pipeline_over (DscoreExit code, const char *cause, gpointer data)
{
  Program *self = data;
  self->code = (int) code;
  self->cause = g_strdup (cause);
  g_autofree char *number = g_strdup_printf ("%d", (int) code);
  dscore_log (code == DSCORE_EXIT_STOPPED ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_CRITICAL, "pipeline_over", "cause", cause, "exit_code", number, NULL);
  g_main_loop_quit (self->loop);
}
#endif

static int
live (Program *self, const char *launch)
{
  GError *error = NULL;
#ifdef DSCORE_HAVE_GST
  g_autoptr (DscoreKeeper) keeper = launch == NULL ? NULL : dscore_keeper_new (self->agent, launch, &error);
  if (error != NULL)
    {
      g_prefix_error (&error, "--pipeline: ");
      return fail (error);
    }
#else
  if (launch != NULL)
    return fail (g_error_new_literal (DSCORE_ERROR, DSCORE_ERROR_CONFIG, "--pipeline: this build has no GStreamer"));
#endif
  if (!dscore_agent_start (self->agent, &error))
    return fail (error);
  dscore_agent_watch_signals (self->agent);
#ifdef DSCORE_HAVE_GST
  if (keeper != NULL)
    dscore_keeper_start (keeper, on_pipeline_over, self);
#endif
  g_main_loop_run (self->loop);
  int code = self->code;
#ifdef DSCORE_HAVE_GST
  /* The server wants no more of it: the recording still gets its end. */
  if (keeper != NULL && self->cause == NULL && dscore_agent_get_state (self->agent) == DSCORE_STATE_CLOSED && code == DSCORE_EXIT_STOPPED)
    code = dscore_keeper_stop (keeper);
#endif
  dscore_agent_close_with_reason (self->agent, -1, self->cause);
  return code;
}

static int
run (Options *options, int argc, char **argv)
{
  Program self = { .code = DSCORE_EXIT_FAILED };
  GError *error = NULL;
  if (!parse_options (options, &argc, &argv, &error))
    return fail (error);
  g_autoptr (DscoreConfig) config = load (options, &error);
  if (config == NULL)
    return fail (error);
  self.loop = g_main_loop_new (NULL, FALSE);
  self.agent = dscore_agent_new (config);
  g_signal_connect (self.agent, "exited", G_CALLBACK (on_exited), &self);
  int code = live (&self, options->pipeline);
  g_object_unref (self.agent);
  g_main_loop_unref (self.loop);
  g_free (self.cause);
  return code;
}

int
main (int argc, char **argv)
{
  Options options = { NULL };
  setlocale (LC_ALL, "");
  int code = run (&options, argc, argv);
  char *texts[] = { options.config, options.url, options.instance_id, options.pipeline, options.level };
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    g_free (texts[i]);
  g_strfreev (options.settings);
  return code;
}
