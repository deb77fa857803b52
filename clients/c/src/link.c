/* When to come back (reconnect.c), what stands in the way (health, an id that is in use, credentials that were refused), and how a
 * connection ended. What is said on it is the conversation's, what the application makes of it the agent's.
 *
 *     attempt    read credentials → ask health → dial → connected, or refused
 *     connected  the conversation; health is looked at now and then; closed
 *     wait       the table's time (rest.c); attempt */
#include "link.h"

#include "log.h"
#include "renewal.h"
#include "rest.h"
#include "watch.h"

struct _DscoreLink {
  guint refs; /* the owner's, and one for each operation that runs */
  DscoreConfig *config;
  GMainContext *context;
  DscoreConversation *conversation;
  const DscoreLinkSink *sink; /* NULL: freed by its owner */
  gpointer owner;

  DscoreReconnector reconnector;
  DscoreRenewal *renewal;
  GCancellable *cancellable; /* of the look before an attempt */
  DscoreSocket *socket;      /* NULL: none, or none that has opened */
  gboolean is_connected;
  gboolean is_closing;
  gboolean is_over;
  gboolean was_known;
  gboolean is_contested; /* another agent has taken over this one's id, and may be connected still */
  DscoreRest *rest;
  DscoreWatch *watch;

  guint last_code;
  char *last_reason;
  DscoreHealth health;
};

static void attempt (DscoreLink *self);
static void connect_now (DscoreLink *self);

static void
unref (DscoreLink *self)
{
  if (--self->refs > 0)
    return;
  g_object_unref (self->config);
  g_main_context_unref (self->context);
  g_object_unref (self->cancellable);
  g_free (self->last_reason);
  g_free (self);
}

static double
seconds_now (void)
{
  return (double) g_get_monotonic_time () / G_USEC_PER_SEC;
}

static void
over (DscoreLink *self)
{
  if (self->is_over)
    return;
  self->is_over = TRUE;
  g_cancellable_cancel (self->cancellable);
  if (self->sink != NULL)
    self->sink->over (self->owner);
}

static const char *
remedy_of_token (const DscoreLink *self)
{
  /* Whether it was the token or the certificate the server keeps to itself. */
#define BESIDES ", and into cert_file a certificate that names this agent"
  const char *remedies[2][2] = {
    { "set token_file, or token, to a token that the server knows",
      "set token_file, or token, to a token that the server knows" BESIDES },
    { "put a token that the server knows into token_file; it is read anew",
      "put a token that the server knows into token_file" BESIDES "; both are read anew" },
  };
#undef BESIDES
  return remedies[self->config->token_file != NULL][self->config->cert_file != NULL];
}

/* The application works on: an id in use or a refused token stops no pipeline. */
static void
warn_of_identity (DscoreLink *self, DscoreRow row, double wait)
{
  g_autofree char *retry_in = g_strdup_printf ("%.3f", wait);
  if (row == DSCORE_ROW_TAKEN_OVER)
    {
      self->is_contested = TRUE;
      dscore_log (G_LOG_LEVEL_WARNING, "taken_over", "agent_id", self->config->instance_id, "retry_in", retry_in, "remedy",
                  "give each agent an instance_id of its own", NULL);
    }
  else if (row == DSCORE_ROW_UNAUTHENTICATED)
    dscore_log (G_LOG_LEVEL_WARNING, "authentication_failed", "agent_id", self->config->instance_id, "retry_in", retry_in, "remedy",
                remedy_of_token (self), NULL);
}

static void
wait_for (DscoreLink *self, double wait)
{
  if (self->is_closing || self->sink->is_terminating (self->owner))
    {
      /* The one that stops the application ends the link; there is nothing left to come back for. */
      if (self->is_closing)
        over (self);
      return;
    }
  g_autofree char *seconds = g_strdup_printf ("%.3f", wait);
  g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, self->reconnector.attempt);
  dscore_log (G_LOG_LEVEL_INFO, "waiting", "seconds", seconds, "attempt", number, NULL);
  dscore_rest_begin (self->rest, wait, dscore_row_of (self->last_code, self->last_reason) == DSCORE_ROW_UNAUTHENTICATED);
  self->sink->entered (self->owner, DSCORE_STATE_WAITING);
}

static void
refused (DscoreLink *self, DscoreRow row, double retry_after)
{
  wait_for (self, dscore_reconnector_refused (&self->reconnector, row, retry_after));
}

static void
on_rested (gpointer owner)
{
  DscoreLink *self = owner;
  if (self->sink->is_terminating (self->owner))
    return;
  dscore_reconnector_due (&self->reconnector);
  attempt (self);
}

/* Health. */

static void
take_look (gpointer owner, const DscoreLook *look)
{
  DscoreLink *self = owner;
  self->health = look->health;
  self->sink->changed (self->owner);
  if (look->health == DSCORE_HEALTH_OK || look->health == DSCORE_HEALTH_SHUTTING_DOWN)
    self->sink->set_server_leaving (self->owner, look->health == DSCORE_HEALTH_SHUTTING_DOWN);
}

static void
on_looks (gpointer owner)
{
  DscoreLink *self = owner;
  dscore_conversation_join (self->conversation);
}

static void
judge_look (DscoreLink *self, const DscoreLook *look)
{
  if (self->is_contested && look->is_connected == TRUE)
    {
      dscore_log (G_LOG_LEVEL_WARNING, "id_in_use", "agent_id", self->config->instance_id, "reason",
                  "another agent is connected by this id", NULL);
      refused (self, DSCORE_ROW_TAKEN_OVER, DSCORE_NO_HINT);
    }
  else if (look->health == DSCORE_HEALTH_OK || !self->config->health_check_enabled)
    connect_now (self);
  else
    {
      dscore_log (G_LOG_LEVEL_WARNING, "server_not_ready", "url", self->config->url, "health", dscore_health_to_string (look->health),
                  "reason", look->reason, NULL);
      refused (self, look->health == DSCORE_HEALTH_SHUTTING_DOWN ? DSCORE_ROW_SHUTTING_DOWN : DSCORE_ROW_OTHER, look->retry_after);
    }
}

static void
on_looked_before (GObject *source, GAsyncResult *result, gpointer data)
{
  DscoreLink *self = data;
  g_autoptr (DscoreLook) look = dscore_health_look_finish (result);
  if (self->sink != NULL && !self->is_closing && look != NULL)
    {
      take_look (self, look);
      judge_look (self, look);
    }
  unref (self);
}

/* The connection. */

static void
on_opened (gpointer owner)
{
  DscoreLink *self = owner;
  self->is_connected = TRUE;
  dscore_reconnector_opened (&self->reconnector, seconds_now ());
  self->sink->entered (self->owner, DSCORE_STATE_INTRODUCING);
  dscore_conversation_begin (self->conversation, self->socket, dscore_renewal_credentials (self->renewal)->token, self->was_known, self->last_code);
  dscore_watch_start (self->watch);
}

static void
on_failed (gpointer owner, const char *reason, double retry_after)
{
  DscoreLink *self = owner;
  dscore_log (G_LOG_LEVEL_WARNING, "connection_failed", "url", self->config->url, "reason", reason, NULL);
  g_clear_pointer (&self->socket, dscore_socket_free);
  refused (self, DSCORE_ROW_OTHER, retry_after);
}

static void
on_message (gpointer owner, const char *data, gsize size, gboolean is_text)
{
  DscoreLink *self = owner;
  dscore_conversation_hear (self->conversation, data, size);
}

static void
on_writable (gpointer owner)
{
  DscoreLink *self = owner;
  self->sink->writable (self->owner);
}

static void
on_ended (gpointer owner, guint code, const char *reason)
{
  DscoreLink *self = owner;
  double now = seconds_now (), lived = now - self->reconnector.opened_at;
  g_autofree char *words = g_strdup_printf ("%u", code);
  g_autofree char *seconds = g_strdup_printf ("%.3f", lived);
  dscore_log (G_LOG_LEVEL_INFO, "disconnected", "close_code", words, "reason", reason, "lived", seconds, NULL);
  self->is_connected = FALSE;
  self->last_code = code;
  g_free (self->last_reason);
  self->last_reason = g_strdup (reason);
  dscore_conversation_end (self->conversation);
  dscore_watch_stop (self->watch);
  g_clear_pointer (&self->socket, dscore_socket_free);
  self->sink->changed (self->owner);
  if (code == DSCORE_CLOSE_GOING_AWAY || code == DSCORE_CLOSE_TRY_LATER)
    self->sink->set_server_leaving (self->owner, TRUE);
  double wait = dscore_reconnector_closed (&self->reconnector, code, self->last_reason, now);
  warn_of_identity (self, dscore_row_of (code, self->last_reason), wait);
  self->sink->disconnected (self->owner);
  if (wait >= 0)
    wait_for (self, wait);
  else if (self->is_closing || !self->sink->is_terminating (self->owner))
    over (self);
}

static void
connect_now (DscoreLink *self)
{
  static const DscoreSocketSink sink = { on_opened, on_failed, on_message, on_writable, on_ended };
  self->socket = dscore_socket_open (self->config, dscore_renewal_credentials (self->renewal), &dscore_socket_limits, self->context, &sink, self);
}

static void
on_renewed (gpointer owner, gboolean differ)
{
  DscoreLink *self = owner;
  /* After a takeover it is asked even where the settings ask nothing else of it. */
  if (!self->config->health_check_enabled && !self->is_contested)
    {
      connect_now (self);
      return;
    }
  self->refs++;
  dscore_health_look_async (self->config, dscore_renewal_credentials (self->renewal), self->is_contested ? self->config->instance_id : NULL, self->cancellable,
                            on_looked_before, self);
}

static void
attempt (DscoreLink *self)
{
  self->sink->entered (self->owner, DSCORE_STATE_CONNECTING);
  dscore_renewal_run (self->renewal, on_renewed, self);
}

DscoreLink *
dscore_link_new (DscoreConfig *config, DscoreCredentials *credentials, GMainContext *context, DscoreConversation *conversation,
                 const DscoreLinkSink *sink, gpointer owner)
{
  static const DscoreWatchSink looking = { on_looks, take_look };
  DscoreLink *self = g_new0 (DscoreLink, 1);
  self->refs = 1;
  self->config = g_object_ref (config);
  self->context = g_main_context_ref (context);
  self->conversation = conversation;
  self->sink = sink;
  self->owner = owner;
  self->renewal = dscore_renewal_new (config, credentials, context);
  self->cancellable = g_cancellable_new ();
  self->rest = dscore_rest_new (config, context, self->renewal, &self->reconnector, on_rested, self);
  self->watch = dscore_watch_new (config, context, self->renewal, &looking, self);
  self->last_reason = g_strdup ("");
  dscore_reconnector_init (&self->reconnector, &config->reconnect, dscore_draw, NULL);
  return self;
}

void
dscore_link_free (DscoreLink *self)
{
  if (self == NULL)
    return;
  self->sink = NULL;
  g_cancellable_cancel (self->cancellable);
  g_clear_pointer (&self->socket, dscore_socket_free);
  dscore_rest_free (self->rest);
  dscore_watch_free (self->watch);
  dscore_renewal_free (self->renewal);
  unref (self);
}

void
dscore_link_begin (DscoreLink *self)
{
  dscore_reconnector_begin (&self->reconnector);
  attempt (self);
}

DscoreSocket *
dscore_link_socket (DscoreLink *self)
{
  return self->is_connected ? self->socket : NULL;
}

void
dscore_link_acknowledged (DscoreLink *self)
{
  self->was_known = TRUE;
  self->is_contested = FALSE;
}

void
dscore_link_hinted (DscoreLink *self, double seconds)
{
  dscore_reconnector_hinted (&self->reconnector, seconds);
}

void
dscore_link_close (DscoreLink *self, const char *farewell)
{
  if (self->is_closing)
    return;
  self->is_closing = TRUE;
  dscore_rest_cancel (self->rest);
  dscore_renewal_cancel (self->renewal);
  if (self->is_connected)
    /* `over` comes when it has ended. */
    dscore_socket_close (self->socket, DSCORE_CLOSE_GOING_AWAY, farewell);
  else
    {
      g_clear_pointer (&self->socket, dscore_socket_free);
      over (self);
    }
}

DscoreLinkFacts
dscore_link_facts (const DscoreLink *self)
{
  return (DscoreLinkFacts){ .attempts = dscore_reconnector_attempts (&self->reconnector),
                            .retry_in = dscore_rest_seconds (self->rest),
                            .last_code = self->last_code,
                            .last_reason = self->last_reason,
                            .health = self->health };
}
