/* The agent's life in its worker: what the server wants meets what the application makes of it.
 *
 *     start                    the link begins
 *     terminate_app, stop      the termination begins: the application is asked, its deadline is armed here, where no loop of the
 *                              host can hold it up
 *     the termination's answer what was accepted before goes out, then the answer; an OK waits for the server to hang up
 *     close, an answer, 1000   the link is closed; with that the worker ends, and `exited` says how */
#include "life.h"

#include "log.h"
#include "statelog.h"
#include "termination-private.h"

/* The snapshot that other threads see. */
static void
publish (DscoreCore *self, DscoreState state)
{
  DscoreLinkFacts facts = dscore_link_facts (self->link);
  g_mutex_lock (&self->lock);
  self->status.state = state;
  self->status.reconnect_attempts = (guint) CLAMP (facts.attempts, 0, G_MAXUINT);
  self->status.retry_in_us = facts.retry_in < 0 ? -1 : (gint64) (facts.retry_in * G_USEC_PER_SEC);
  self->status.last_close_code = facts.last_code;
  if (g_strcmp0 (self->status.last_close_reason, facts.last_reason) != 0)
    {
      g_free (self->status.last_close_reason);
      self->status.last_close_reason = g_strdup (facts.last_reason);
    }
  self->status.server_shutting_down = self->is_leaving;
  self->status.health = facts.health;
  g_mutex_unlock (&self->lock);
}

static void
tell (DscoreCore *self)
{
  g_autoptr (DscoreStatus) status = dscore_core_dup_status (self);
  dscore_state_log (status, G_LOG_LEVEL_DEBUG);
  dscore_emitter_state (self->emitter);
}

static void
enter (gpointer owner, DscoreState state)
{
  DscoreCore *self = owner;
  DscoreState former = self->status.state;
  /* An application that is being stopped stays that, whatever its connection does. */
  if (former == DSCORE_STATE_TERMINATING && state != DSCORE_STATE_CLOSED)
    state = former;
  publish (self, state);
  if (state != former)
    tell (self);
}

static void
changed (gpointer owner)
{
  DscoreCore *self = owner;
  publish (self, self->status.state);
}

static void
set_server_leaving (gpointer owner, gboolean leaving)
{
  DscoreCore *self = owner;
  if (self->is_leaving == leaving)
    return;
  self->is_leaving = leaving;
  /* Not taken back once the application stops: it has no new work. */
  dscore_outbox_refuse (&self->outbox, leaving || self->termination != NULL);
  changed (self);
  tell (self);
}

/* Sends what waits: as long as the connection takes it without queueing, or all of it, for the server hangs up next. */
static void
flush (DscoreCore *self, gboolean is_patient)
{
  DscoreSocket *socket = dscore_link_socket (self->link);
  if (socket == NULL || !dscore_conversation_is_acknowledged (self->conversation))
    return;
  while (is_patient ? dscore_socket_is_writable (socket) : dscore_socket_is_open (socket))
    {
      g_autoptr (GBytes) message = dscore_outbox_take (&self->outbox);
      if (message == NULL)
        return;
      gsize size;
      gconstpointer data = g_bytes_get_data (message, &size);
      dscore_socket_send (socket, data, size, TRUE);
      /* It may have ended by that. */
      socket = dscore_link_socket (self->link);
      if (socket == NULL)
        return;
    }
}

static void
on_writable (gpointer owner)
{
  flush (owner, TRUE);
}

gboolean
dscore_life_flush (gpointer data)
{
  DscoreCore *self = data;
  if (self->link != NULL)
    flush (self, TRUE);
  return G_SOURCE_REMOVE;
}

static void
finish (DscoreCore *self, int code)
{
  if (self->is_finished)
    return;
  self->is_finished = TRUE;
  g_mutex_lock (&self->lock);
  self->exit_code = code;
  g_autofree char *farewell = g_strdup (self->farewell);
  g_mutex_unlock (&self->lock);
  dscore_outbox_close (&self->outbox);
  dscore_alarm_cancel (self->deadline);
  dscore_link_close (self->link, farewell);
}

static void
on_over (gpointer owner)
{
  DscoreCore *self = owner;
  finish (self, DSCORE_EXIT_STOPPED); /* the server wants no more of it, unless it is finished already */
  enter (self, DSCORE_STATE_CLOSED);
  g_main_loop_quit (self->worker.loop);
}

gboolean
dscore_life_close (gpointer data)
{
  DscoreCore *self = data;
  if (self->link != NULL)
    finish (self, DSCORE_EXIT_STOPPED);
  return G_SOURCE_REMOVE;
}

static void
on_disconnected (gpointer owner)
{
  DscoreCore *self = owner;
  if (self->is_answered)
    finish (self, self->exit_code);
}

static void
on_deadline (gpointer owner, gint64 gap)
{
  DscoreCore *self = owner;
  if (self->is_answered)
    finish (self, self->exit_code); /* the server did not hang up */
  else
    dscore_termination_finish (self->termination, FALSE, "the application did not stop in time");
}

static void
answer (DscoreCore *self, DscoreAnswer *given)
{
  dscore_log (given->complete ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING, "terminated", "status", given->ok ? "OK" : "ERROR", "complete",
              given->complete ? "true" : "false", "reason", given->message, NULL);
  dscore_alarm_cancel (self->deadline);
  flush (self, FALSE);
  int code = dscore_answer_exit_code (given);
  gboolean told = dscore_requests_answer (&self->requests, self->conversation, given);
  if (!told || code == DSCORE_EXIT_FORCED || dscore_link_socket (self->link) == NULL)
    {
      finish (self, code);
      return;
    }
  self->is_answered = TRUE;
  g_mutex_lock (&self->lock);
  self->exit_code = code;
  g_mutex_unlock (&self->lock);
  dscore_alarm_arm (self->deadline, DSCORE_CLOSE_US);
}

typedef struct {
  DscoreCore *core;
  DscoreAnswer *answer; /* or */
  char *stage;
  guint need_ms;
} Note;

static void
note_free (gpointer data)
{
  Note *note = data;
  g_clear_pointer (&note->answer, dscore_answer_free);
  g_free (note->stage);
  dscore_core_unref (note->core);
  g_free (note);
}

static gboolean
take_note (gpointer data)
{
  Note *note = data;
  DscoreCore *self = note->core;
  if (self->link == NULL || self->is_finished)
    return G_SOURCE_REMOVE;
  if (note->answer != NULL)
    answer (self, g_steal_pointer (&note->answer));
  else
    dscore_requests_progress (&self->requests, self->conversation, note->stage, note->need_ms);
  return G_SOURCE_REMOVE;
}

static void
on_finished (gpointer owner, DscoreAnswer *given)
{
  Note *note = g_new0 (Note, 1);
  note->core = dscore_core_ref (owner);
  note->answer = given;
  dscore_worker_post (&note->core->worker, take_note, note, note_free);
}

static void
on_progress (gpointer owner, const char *stage, guint need_ms)
{
  Note *note = g_new0 (Note, 1);
  note->core = dscore_core_ref (owner);
  note->stage = g_utf8_make_valid (stage, -1);
  note->need_ms = need_ms;
  dscore_worker_post (&note->core->worker, take_note, note, note_free);
}

static void
ask_application (DscoreCore *self)
{
  g_mutex_lock (&self->lock);
  DscoreStopHook *hook = self->stop == NULL ? NULL : g_atomic_rc_box_acquire (self->stop);
  g_mutex_unlock (&self->lock);
  gpointer agent = hook == NULL ? NULL : dscore_emitter_dup_agent (self->emitter);
  gboolean is_handled = dscore_emitter_has_terminate_handler (self->emitter);
  if (is_handled)
    dscore_emitter_terminate (self->emitter, self->termination);
  if (agent != NULL)
    {
      hook->func (agent, self->termination, hook->data);
      g_object_unref (agent);
    }
  else if (!is_handled)
    dscore_termination_finish (self->termination, TRUE, NULL); /* there is nothing to stop */
  if (hook != NULL)
    dscore_stop_hook_unref (hook);
}

void
dscore_life_terminate (DscoreCore *self, const char *request_id, const char *reason)
{
  static const DscoreTerminationSink sink = { on_finished, on_progress, dscore_core_ref_data, dscore_core_unref_data };
  if (request_id != NULL)
    dscore_requests_note (&self->requests, self->conversation, request_id);
  if (self->termination != NULL || self->is_finished)
    return;
  dscore_log (G_LOG_LEVEL_INFO, "terminating", "request_id", request_id, "reason", reason, NULL);
  gint64 patience = self->config->graceful_shutdown_timeout;
  self->termination = dscore_termination_new (request_id, reason, g_get_monotonic_time () + patience, &sink, self);
  g_mutex_lock (&self->lock);
  self->is_terminating = TRUE;
  g_mutex_unlock (&self->lock);
  dscore_outbox_refuse (&self->outbox, TRUE);
  dscore_alarm_arm (self->deadline, patience);
  enter (self, DSCORE_STATE_TERMINATING);
  ask_application (self);
}

static void
on_acknowledged (gpointer owner, gboolean restored)
{
  DscoreCore *self = owner;
  g_mutex_lock (&self->lock);
  self->status.session_restored = restored;
  g_mutex_unlock (&self->lock);
  dscore_link_acknowledged (self->link);
  dscore_log (G_LOG_LEVEL_INFO, "connected", "url", self->config->url, "session_restored", restored ? "true" : "false", NULL);
  set_server_leaving (self, FALSE);
  enter (self, DSCORE_STATE_READY);
  flush (self, TRUE);
}

static void
on_asked_to_terminate (gpointer owner, const char *request_id, const char *reason)
{
  dscore_life_terminate (owner, request_id, reason);
}

static void
on_server_leaves (gpointer owner, double reconnect_after)
{
  DscoreCore *self = owner;
  if (reconnect_after >= 0)
    dscore_link_hinted (self->link, reconnect_after);
  set_server_leaving (self, TRUE);
}

static void
on_received (gpointer owner, JsonObject *message, gsize bytes)
{
  DscoreCore *self = owner;
  if (!dscore_emitter_message (self->emitter, message, bytes) && dscore_log_allows (&self->dropped))
    dscore_log (G_LOG_LEVEL_WARNING, "message_dropped", "reason", "the application's loop does not turn", NULL);
}

static gboolean
is_terminating (gpointer owner)
{
  DscoreCore *self = owner;
  return self->termination != NULL;
}

void
dscore_life_begin (gpointer owner)
{
  static const DscoreConversationSink heard = { on_acknowledged, on_asked_to_terminate, on_server_leaves, on_received };
  static const DscoreLinkSink sink = { is_terminating, enter, changed, set_server_leaving, on_writable, on_disconnected, on_over };
  DscoreCore *self = owner;
  GMainContext *context = self->worker.context;
  self->conversation = dscore_conversation_new (self->config, context, &heard, self);
  self->deadline = dscore_alarm_new (context, on_deadline, self);
  self->link = dscore_link_new (self->config, self->credentials, context, self->conversation, &sink, self);
  dscore_link_begin (self->link);
}

void
dscore_life_end (gpointer owner)
{
  DscoreCore *self = owner;
  if (self->termination != NULL)
    {
      /* One that no answer has come to holds this core. */
      dscore_termination_finish (self->termination, FALSE, "the agent was closed");
      g_clear_object (&self->termination);
    }
  g_clear_pointer (&self->link, dscore_link_free);
  g_clear_pointer (&self->conversation, dscore_conversation_free);
  g_clear_pointer (&self->deadline, dscore_alarm_free);
  dscore_signals_drop (&self->signals);
  dscore_worker_end (&self->worker);
  dscore_emitter_exited (self->emitter, self->exit_code);
  dscore_core_unref (self);
}

