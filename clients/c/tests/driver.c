/* The library at the end of a pipe, for tests that are written in Python: a line in is a call, a line out is what came of it.
 *
 *     driver KEY=VALUE…       the settings; the environment is not read
 *     send JSON               → {"sent": true} or {"sent": false, "error": "…"}
 *     status                  → {"status": {…}}
 *     stop WORDS, close US, log, quit
 *     handle                  ::terminate has a handler from now on, which answers nothing by itself
 *     func                    dscore_agent_set_stop_func() has one
 *     finish OK WORDS, incomplete WORDS, progress STAGE MS
 *     block                   the main loop stands still until the next line
 *     flood N                 N messages from each of eight threads */
#include <dscore.h>

#include <gio/gio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  GMainLoop *loop;
  GIOChannel *input;
  DscoreAgent *agent;
  DscoreTermination *termination;
  GMutex lock;
} Driver;

static void
say (JsonObject *object)
{
  g_autoptr (JsonNode) node = json_node_init_object (json_node_alloc (), object);
  g_autofree char *text = json_to_string (node, FALSE);
  printf ("%s\n", text);
  fflush (stdout);
  json_object_unref (object);
}

static JsonObject *
event (const char *name)
{
  JsonObject *object = json_object_new ();
  json_object_set_string_member (object, "event", name);
  return object;
}

static void
add_status (JsonObject *object, DscoreAgent *agent)
{
  g_autoptr (DscoreStatus) status = dscore_agent_dup_status (agent);
  json_object_set_string_member (object, "state", dscore_state_to_string (status->state));
  json_object_set_int_member (object, "reconnect_attempts", status->reconnect_attempts);
  json_object_set_double_member (object, "retry_in", status->retry_in_us < 0 ? -1 : (double) status->retry_in_us / G_USEC_PER_SEC);
  json_object_set_int_member (object, "last_close_code", status->last_close_code);
  json_object_set_string_member (object, "last_close_reason", status->last_close_reason);
  json_object_set_boolean_member (object, "server_shutting_down", status->server_shutting_down);
  json_object_set_string_member (object, "health", dscore_health_to_string (status->health));
  json_object_set_boolean_member (object, "session_restored", status->session_restored);
  json_object_set_int_member (object, "queued", status->queued);
  json_object_set_int_member (object, "dropped", (gint64) status->dropped);
}

static void
on_state (DscoreAgent *agent, GParamSpec *pspec, gpointer data)
{
  JsonObject *object = event ("state");
  add_status (object, agent);
  say (object);
}

static void
on_message (DscoreAgent *agent, JsonObject *message, gpointer data)
{
  JsonObject *object = event ("message");
  json_object_set_object_member (object, "message", json_object_ref (message));
  say (object);
}

static void
on_exited (DscoreAgent *agent, int code, gpointer data)
{
  JsonObject *object = event ("exited");
  json_object_set_int_member (object, "code", code);
  say (object);
}

static void
keep (Driver *self, DscoreTermination *termination, const char *name)
{
  JsonObject *object = event (name);
  const char *id = dscore_termination_get_request_id (termination);
  g_mutex_lock (&self->lock);
  g_set_object (&self->termination, termination);
  g_mutex_unlock (&self->lock);
  json_object_set_string_member (object, "request_id", id != NULL ? id : "");
  json_object_set_string_member (object, "reason", dscore_termination_get_reason (termination));
  json_object_set_boolean_member (object, "local", dscore_termination_get_intent (termination) == DSCORE_INTENT_LOCAL);
  json_object_set_double_member (object, "left", (double) (dscore_termination_get_deadline (termination) - g_get_monotonic_time ()) / G_USEC_PER_SEC);
  say (object);
}

static void
on_terminate (DscoreAgent *agent, DscoreTermination *termination, gpointer data)
{
  keep (data, termination, "terminate");
}

static void
stop_func (DscoreAgent *agent, DscoreTermination *termination, gpointer data)
{
  keep (data, termination, "stop_func");
  dscore_termination_finish (termination, TRUE, "stopped in the worker");
}

static void
send_text (Driver *self, const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonObject *object = json_object_new ();
  json_object_set_boolean_member (object, "sent", dscore_agent_send_text (self->agent, text, -1, &error));
  if (error != NULL)
    json_object_set_string_member (object, "error", error->message);
  say (object);
}

typedef struct {
  DscoreAgent *agent;
  int thread, count;
} Flood;

static gpointer
flood (gpointer data)
{
  g_autofree Flood *one = data;
  for (int i = 0; i < one->count; i++)
    {
      g_autoptr (JsonObject) message = json_object_new ();
      json_object_set_string_member (message, "type", "work");
      json_object_set_int_member (message, "thread", one->thread);
      json_object_set_int_member (message, "n", i);
      if (!dscore_agent_send (one->agent, message, NULL))
        g_error ("not taken");
      g_autoptr (DscoreStatus) status = dscore_agent_dup_status (one->agent);
    }
  return NULL;
}

static void
flood_all (Driver *self, int count)
{
  GThread *threads[8];
  for (int i = 0; i < 8; i++)
    {
      Flood *one = g_new (Flood, 1);
      *one = (Flood){ self->agent, i, count };
      threads[i] = g_thread_new ("flood", flood, one);
    }
  for (int i = 0; i < 8; i++)
    g_thread_join (threads[i]);
  say (event ("flooded"));
}

static void
answer (Driver *self, const char *command, const char *rest)
{
  g_auto (GStrv) words = g_strsplit (rest, " ", 2);
  if (self->termination == NULL)
    return;
  if (strcmp (command, "finish") == 0)
    dscore_termination_finish (self->termination, strcmp (words[0], "true") == 0, words[1]);
  else if (strcmp (command, "incomplete") == 0)
    dscore_termination_finish_incomplete (self->termination, rest);
  else
    dscore_termination_progress (self->termination, words[0], (guint) atoi (words[1]));
}

static void
block (Driver *self)
{
  g_autofree char *line = NULL;
  say (event ("blocked"));
  g_io_channel_read_line (self->input, &line, NULL, NULL, NULL);
}

static void
obey (Driver *self, const char *command, const char *rest)
{
  if (strcmp (command, "send") == 0)
    send_text (self, rest);
  else if (strcmp (command, "status") == 0)
    {
      JsonObject *object = event ("status");
      add_status (object, self->agent);
      say (object);
    }
  else if (strcmp (command, "stop") == 0)
    dscore_agent_stop (self->agent, *rest == '\0' ? NULL : rest);
  else if (strcmp (command, "close") == 0)
    {
      JsonObject *object = event ("closed");
      json_object_set_int_member (object, "code", dscore_agent_close (self->agent, g_ascii_strtoll (rest, NULL, 10)));
      say (object);
    }
  else if (strcmp (command, "log") == 0)
    dscore_agent_log_state (self->agent, G_LOG_LEVEL_MESSAGE);
  else if (strcmp (command, "handle") == 0)
    g_signal_connect (self->agent, "terminate", G_CALLBACK (on_terminate), self);
  else if (strcmp (command, "func") == 0)
    dscore_agent_set_stop_func (self->agent, stop_func, self, NULL);
  else if (strcmp (command, "block") == 0)
    block (self);
  else if (strcmp (command, "flood") == 0)
    flood_all (self, atoi (rest));
  else if (strcmp (command, "quit") == 0)
    g_main_loop_quit (self->loop);
  else
    answer (self, command, rest);
}

static gboolean
on_line (GIOChannel *input, GIOCondition condition, gpointer data)
{
  Driver *self = data;
  g_autofree char *line = NULL;
  if (g_io_channel_read_line (input, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL)
    {
      g_main_loop_quit (self->loop);
      return G_SOURCE_REMOVE;
    }
  g_strchomp (line);
  char *blank = strchr (line, ' ');
  if (blank != NULL)
    *blank = '\0';
  obey (self, line, blank == NULL ? "" : blank + 1);
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  Driver self = { .loop = g_main_loop_new (NULL, FALSE) };
  g_autoptr (GError) error = NULL;
  DscoreConfig *config = dscore_config_load_full (NULL, (const char *const *) argv + 1, NULL, &error);
  if (config == NULL)
    g_error ("%s", error->message);
  self.agent = dscore_agent_new (config);
  g_object_unref (config);
  g_mutex_init (&self.lock);
  g_signal_connect (self.agent, "notify::state", G_CALLBACK (on_state), &self);
  g_signal_connect (self.agent, "message", G_CALLBACK (on_message), &self);
  g_signal_connect (self.agent, "exited", G_CALLBACK (on_exited), &self);
  self.input = g_io_channel_unix_new (0);
  g_io_add_watch (self.input, G_IO_IN | G_IO_HUP, on_line, &self);
  if (!dscore_agent_start (self.agent, &error))
    {
      JsonObject *object = event ("failed");
      json_object_set_string_member (object, "error", error->message);
      say (object);
    }
  g_main_loop_run (self.loop);
  dscore_agent_close (self.agent, -1);
  g_clear_object (&self.termination);
  g_object_unref (self.agent);
  g_io_channel_unref (self.input);
  g_main_loop_unref (self.loop);
  return 0;
}
