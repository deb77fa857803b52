/* The talk of one connection (PROTOCOL §2, §3). */
#include "conversation.h"

#include "alarm.h"
#include "json.h"
#include "log.h"
#include "message.h"
#include "seen.h"

#include <string.h>

#define HEARTBEAT_US (30 * G_USEC_PER_SEC) /* until the server names another time: reconnection_ack does not */
#define ACK_US (5 * G_USEC_PER_SEC)        /* without an ack a heartbeat asks: servers may be set to send no app_ready_ack */
#define MAX_UNANSWERED 3                   /* heartbeats, on a connection that was never acknowledged */
#define SHORTEST_HEARTBEAT 0.05
#define LONGEST_HEARTBEAT 3600.0
#define NEAR_US G_USEC_PER_SEC
#define MAX_REQUEST_ID 256 /* bytes; a UUID has 36, and each is kept until it is answered */

struct _DscoreConversation {
  DscoreConfig *config;
  const DscoreConversationSink *sink;
  gpointer owner;
  DscoreSocket *socket; /* NULL: none; the owner's */
  DscoreAlarm *alarm;
  DscoreSeen seen;
  DscoreLogLimit limit; /* of lines that a message causes */
  guint unanswered;
  gint64 interval;
  gboolean is_acknowledged;
  gboolean is_joined; /* heartbeats and looks at the server's health fall due together */
};

gboolean
dscore_type_is_control (const char *type)
{
  static const char *const control[] = { "app_ready", "app_terminated", "client_status_request", "connection_check_response",
                                         "heartbeat", "reconnection_success", "termination_progress", NULL };
  return g_strv_contains (control, type);
}

JsonObject *
dscore_message_new (const char *type)
{
  JsonObject *message = json_object_new ();
  json_object_set_string_member (message, "type", type);
  return message;
}

static void
arm (DscoreConversation *self, gint64 after)
{
  if (self->socket != NULL)
    dscore_alarm_arm (self->alarm, after);
}

static void
send_and_drop (DscoreConversation *self, JsonObject *message)
{
  dscore_conversation_send (self, message);
  json_object_unref (message);
}

static char *
now (void)
{
  g_autoptr (GDateTime) time = g_date_time_new_now_utc ();
  g_autofree char *seconds = g_date_time_format (time, "%Y-%m-%dT%H:%M:%S");
  return g_strdup_printf ("%s.%03dZ", seconds, g_date_time_get_microsecond (time) / 1000);
}

static void
beat (gpointer owner, gint64 gap)
{
  DscoreConversation *self = owner;
  /* After a gap the answers may lie in the socket: they are read before silence is judged. */
  if (gap == 0 && !self->is_acknowledged && self->unanswered >= MAX_UNANSWERED)
    {
      dscore_log (G_LOG_LEVEL_WARNING, "not_acknowledged", "reason", "no answer to 3 heartbeats", NULL);
      dscore_socket_close (self->socket, DSCORE_CLOSE_NORMAL, "no answer to 3 heartbeats");
      return;
    }
  JsonObject *message = dscore_message_new ("heartbeat");
  g_autofree char *time = now ();
  json_object_set_string_member (message, "clientName", self->config->instance_id);
  json_object_set_string_member (message, "timestamp", time);
  self->unanswered += !self->is_acknowledged && gap == 0;
  arm (self, self->is_acknowledged ? self->interval : ACK_US);
  send_and_drop (self, message);
}

DscoreConversation *
dscore_conversation_new (DscoreConfig *config, GMainContext *context, const DscoreConversationSink *sink, gpointer owner)
{
  DscoreConversation *self = g_new0 (DscoreConversation, 1);
  self->config = g_object_ref (config);
  self->sink = sink;
  self->owner = owner;
  self->alarm = dscore_alarm_new (context, beat, self);
  self->interval = HEARTBEAT_US;
  dscore_seen_init (&self->seen);
  return self;
}

void
dscore_conversation_free (DscoreConversation *self)
{
  if (self == NULL)
    return;
  dscore_alarm_free (self->alarm);
  dscore_seen_clear (&self->seen);
  g_object_unref (self->config);
  g_free (self);
}

void
dscore_conversation_begin (DscoreConversation *self, DscoreSocket *socket, const char *token, gboolean reconnection,
                           guint last_close_code)
{
  self->socket = socket;
  self->unanswered = 0;
  self->is_acknowledged = FALSE;
  self->is_joined = FALSE;
  JsonObject *message = dscore_message_new ("app_ready");
  json_object_set_string_member (message, "instance_id", self->config->instance_id);
  json_object_set_boolean_member (message, "reconnection", reconnection);
  json_object_set_int_member (message, "last_close_code", last_close_code);
  json_object_set_object_member (message, "config", json_object_ref (self->config->app_config));
  if (token != NULL)
    json_object_set_string_member (message, "token", token);
  arm (self, ACK_US);
  send_and_drop (self, message);
}

void
dscore_conversation_end (DscoreConversation *self)
{
  self->socket = NULL;
  self->is_acknowledged = FALSE;
  dscore_alarm_cancel (self->alarm);
}

gboolean
dscore_conversation_is_acknowledged (const DscoreConversation *self)
{
  return self->is_acknowledged;
}

void
dscore_conversation_join (DscoreConversation *self)
{
  if (!self->is_acknowledged)
    return;
  if (!self->is_joined || dscore_alarm_is_near (self->alarm, NEAR_US))
    dscore_alarm_arm (self->alarm, 0);
  self->is_joined = TRUE;
}

gboolean
dscore_conversation_send (DscoreConversation *self, JsonObject *message)
{
  if (self->socket == NULL || !dscore_socket_is_open (self->socket))
    return FALSE;
  gsize size;
  g_autofree char *text = dscore_json_text (message, &size);
  dscore_socket_send (self->socket, text, size, TRUE);
  return TRUE;
}

static void
acked (DscoreConversation *self, JsonObject *message)
{
  double seconds = dscore_json_milliseconds (message, "nextHeartbeatIn");
  if (seconds >= 0)
    self->interval = (gint64) (CLAMP (seconds, SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT) * G_USEC_PER_SEC);
  arm (self, self->interval);
  if (self->socket != NULL)
    dscore_socket_expect (self->socket, self->interval);
  if (self->is_acknowledged || self->socket == NULL)
    return;
  self->is_acknowledged = TRUE;
  self->sink->acknowledged (self->owner, dscore_json_is_true (message, "session_restored"));
}

static void
heartbeat_answered (DscoreConversation *self, JsonObject *message)
{
  if (g_strcmp0 (dscore_json_string (message, "status"), "ok") == 0)
    {
      acked (self, message);
      return;
    }
  self->unanswered = 0;
  if (dscore_log_allows (&self->limit))
    dscore_log (G_LOG_LEVEL_WARNING, "heartbeat_failed", "reason", dscore_json_string (message, "message"), NULL);
  if (dscore_json_is_true (message, "shouldReconnect"))
    dscore_socket_close (self->socket, DSCORE_CLOSE_NORMAL, "heartbeat failed");
}

static void
checked (DscoreConversation *self, JsonObject *message)
{
  JsonObject *answer = dscore_message_new ("connection_check_response");
  json_object_set_string_member (answer, "client_name", self->config->instance_id);
  send_and_drop (self, answer);
}

static void
asked_to_terminate (DscoreConversation *self, JsonObject *message)
{
  const char *request_id = dscore_json_string (message, "request_id"), *reason = dscore_json_string (message, "reason");
  if (request_id != NULL && strlen (request_id) <= MAX_REQUEST_ID)
    self->sink->asked_to_terminate (self->owner, request_id, reason != NULL ? reason : "");
  else if (dscore_log_allows (&self->limit))
    dscore_log (G_LOG_LEVEL_WARNING, "message_ignored", "reason", "terminate_app without a usable request_id", NULL);
}

static void
server_leaves (DscoreConversation *self, JsonObject *message)
{
  double after = dscore_json_milliseconds (message, "reconnectAfter");
  g_autofree char *words = g_strdup_printf ("%g", after);
  if (dscore_log_allows (&self->limit))
    dscore_log (G_LOG_LEVEL_INFO, "server_leaves", "reason", dscore_json_string (message, "message"), "reconnect_after",
                after >= 0 ? words : NULL, NULL);
  self->sink->server_leaves (self->owner, after);
}

static void
complained (DscoreConversation *self, JsonObject *message)
{
  if (dscore_log_allows (&self->limit))
    dscore_log (G_LOG_LEVEL_WARNING, "message_refused", "code", dscore_json_string (message, "code"), "reason",
                dscore_json_string (message, "message"), "request_type", dscore_json_string (message, "request_type"), NULL);
}

typedef void (*Answer) (DscoreConversation *self, JsonObject *message);

static Answer
answer_to (const char *type)
{
  static const struct { const char *type; Answer answer; } answers[] = {
    { "app_ready_ack", acked },
    { "reconnection_ack", acked },
    { "heartbeat_response", heartbeat_answered },
    { "connection_check", checked },
    { "terminate_app", asked_to_terminate },
    { "server_shutdown", server_leaves },
    { "error", complained },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    if (strcmp (answers[i].type, type) == 0)
      return answers[i].answer;
  return NULL;
}

void
dscore_conversation_hear (DscoreConversation *self, const char *text, gsize size)
{
  g_autoptr (GError) error = NULL;
  gsize bytes;
  g_autoptr (JsonObject) message = dscore_json_object (text, size, &bytes, &error);
  if (message == NULL)
    {
      if (dscore_log_allows (&self->limit))
        dscore_log (G_LOG_LEVEL_WARNING, "message_ignored", "reason", error->message, NULL);
      return;
    }
  if (self->socket == NULL)
    return;
  Answer answer = answer_to (dscore_json_string (message, "type"));
  if (answer != NULL)
    answer (self, message);
  /* What it is refused for is the application's business too. */
  if (answer != NULL && answer != complained)
    return;
  const char *id = dscore_json_string (message, "message_id");
  if (!dscore_seen_is_repeated (&self->seen, id))
    self->sink->received (self->owner, message, bytes);
  else if (dscore_log_allows (&self->limit))
    dscore_log (G_LOG_LEVEL_INFO, "message_repeated", "message_id", id, NULL);
}
