/* A WebSocket's life: the codec above, bytes of a stream below (stream.c). The machine:
 *
 *     OPENING     opened (opening.c)         OPEN
 *     OPEN        close, a fault, its close  CLOSING    our close frame goes out
 *     CLOSING     the end of the stream      ENDED      within DSCORE_CLOSE_US
 *     any         error, silence, abort      ENDED
 *
 * A connection that brings no byte for ping_interval + ping_timeout is cut. A ping goes out after ping_interval of silence, unless a
 * heartbeat is about to ask the same. */
#include "socket.h"

#include "alarm.h"
#include "opening.h"
#include "stream.h"

#include <string.h>

#define HIGH_WATER (64u * 1024)          /* from here on messages wait in the outbox */
#define PONG_WATER (4u * 1024)           /* from here on only the newest ping is answered */
#define MAX_QUEUED (4u * 1024 * 1024)    /* a server that asks and does not read is left */
#define MAX_REASON 123                   /* bytes of it in a close frame (RFC 6455 §5.5) */

const DscoreMessageLimits dscore_socket_limits = { .max_message = 10 * 1024 * 1024, .max_fragments = 4096, .binary = FALSE };

typedef enum { OPENING, OPEN, CLOSING, ENDED } Stage;

struct _DscoreSocket {
  guint refs; /* the owner's, and that of a call from within */
  DscoreConfig *config;
  GMainContext *context;
  const DscoreSocketSink *sink; /* NULL: freed by its owner */
  gpointer owner;

  Stage stage;
  DscoreOpening *opening;
  GSocketConnection *connection;
  DscoreStream *stream;
  DscoreMessages *messages;

  DscoreAlarm *limit; /* of the closing handshake */
  DscoreAlarm *silence;
  gint64 last_seen;
  gboolean is_full;
  gboolean owes_pong;
  guint8 ping[DSCORE_MAX_CONTROL];
  gsize ping_size;

  guint end_code;
  char *end_reason;
};

static void
unref (DscoreSocket *self)
{
  if (--self->refs > 0)
    return;
  g_object_unref (self->config);
  g_main_context_unref (self->context);
  dscore_messages_free (self->messages);
  g_free (self->end_reason);
  g_free (self);
}

/* Lets go of the network and of all timers. */
static void
release (DscoreSocket *self)
{
  self->stage = ENDED;
  g_clear_pointer (&self->opening, dscore_opening_free);
  g_clear_pointer (&self->limit, dscore_alarm_free);
  g_clear_pointer (&self->silence, dscore_alarm_free);
  g_clear_pointer (&self->stream, dscore_stream_free);
  if (self->connection != NULL)
    g_socket_close (g_socket_connection_get_socket (self->connection), NULL);
  g_clear_object (&self->connection);
}

static void
set_end (DscoreSocket *self, guint code, const char *reason)
{
  self->end_code = code;
  g_free (self->end_reason);
  self->end_reason = g_strdup (reason);
}

static void
end (DscoreSocket *self)
{
  if (self->stage == ENDED)
    return;
  release (self);
  if (self->sink != NULL)
    self->sink->ended (self->owner, self->end_code, self->end_reason);
}

static void
fail (DscoreSocket *self, const char *reason, double retry_after)
{
  if (self->stage == ENDED)
    return;
  release (self);
  if (self->sink != NULL)
    self->sink->failed (self->owner, reason, retry_after);
}

static void
write_frame (DscoreSocket *self, DscoreOpcode opcode, gconstpointer payload, gsize size)
{
  guint8 mask[4];
  dscore_random_fill (mask, sizeof mask);
  dscore_frame_write (dscore_stream_output (self->stream), opcode, TRUE, payload, size, mask);
  dscore_stream_flush (self->stream);
  if (dscore_stream_queued (self->stream) >= HIGH_WATER)
    self->is_full = TRUE;
}

static void
leave (DscoreSocket *self, const guint8 *payload, gsize size)
{
  self->stage = CLOSING;
  dscore_alarm_cancel (self->silence);
  dscore_alarm_arm (self->limit, DSCORE_CLOSE_US);
  write_frame (self, DSCORE_OPCODE_CLOSE, payload, size);
}

static void
leave_with (DscoreSocket *self, guint code, const char *reason)
{
  guint8 payload[DSCORE_MAX_CONTROL] = { (guint8) (code >> 8), (guint8) code };
  gsize size = strlen (reason);
  if (size > MAX_REASON)
    /* Never half a character. */
    size = (gsize) (g_utf8_find_prev_char (reason, reason + MAX_REASON + 1) - reason);
  memcpy (payload + 2, reason, size);
  leave (self, payload, size + 2);
}

static void
on_message (gpointer owner, const char *data, gsize size, gboolean is_text)
{
  DscoreSocket *self = owner;
  if (self->stage == OPEN && self->sink != NULL)
    self->sink->message (self->owner, data, size, is_text);
}

/* RFC 6455 §5.5.3: a pong to the newest ping will do where the server does not read. */
static void
on_ping (gpointer owner, const guint8 *data, gsize size)
{
  DscoreSocket *self = owner;
  if (self->stage != OPEN)
    return;
  if (dscore_stream_queued (self->stream) < PONG_WATER)
    {
      write_frame (self, DSCORE_OPCODE_PONG, data, size);
      return;
    }
  self->owes_pong = TRUE;
  self->ping_size = size;
  memcpy (self->ping, data, size);
}

static void
on_close (gpointer owner, guint code, const char *reason, const guint8 *payload, gsize size)
{
  DscoreSocket *self = owner;
  if (self->stage != OPEN && self->stage != CLOSING)
    return;
  set_end (self, code, reason);
  if (self->stage == OPEN)
    /* §5.5.1: the answer echoes the code. The server closes the socket (§7.1.1). */
    leave (self, payload, size);
}

static void
take_frames (DscoreSocket *self, const guint8 *data, gsize size)
{
  const char *fault;
  guint code = dscore_messages_feed (self->messages, data, size, &fault);
  if (code != 0 && self->stage == OPEN)
    {
      set_end (self, DSCORE_CLOSE_CUT, fault);
      leave_with (self, code, fault);
    }
}

static void
on_data (gpointer owner, const guint8 *data, gsize size)
{
  DscoreSocket *self = owner;
  self->last_seen = g_get_monotonic_time ();
  self->refs++;
  take_frames (self, data, size);
  unref (self);
}

static void
on_drained (gpointer owner)
{
  DscoreSocket *self = owner;
  gsize queued = dscore_stream_queued (self->stream);
  self->refs++;
  if (self->stage == OPEN && self->owes_pong && queued < PONG_WATER)
    {
      self->owes_pong = FALSE;
      write_frame (self, DSCORE_OPCODE_PONG, self->ping, self->ping_size);
    }
  if (self->stage == OPEN && self->is_full && queued < HIGH_WATER / 2)
    {
      self->is_full = FALSE;
      if (self->sink != NULL)
        self->sink->writable (self->owner);
    }
  unref (self);
}

static void
on_over (gpointer owner, const char *error)
{
  DscoreSocket *self = owner;
  self->refs++;
  if (error != NULL && self->stage == OPEN)
    set_end (self, DSCORE_CLOSE_CUT, error);
  end (self);
  unref (self);
}

static void
on_opened (gpointer owner, GSocketConnection *connection, GIOStream *stream, const guint8 *rest, gsize size)
{
  static const DscoreStreamSink sink = { on_data, on_drained, on_over };
  DscoreSocket *self = owner;
  self->refs++;
  self->stage = OPEN;
  self->connection = g_object_ref (connection);
  self->stream = dscore_stream_new (stream, self->context, &sink, self);
  self->last_seen = g_get_monotonic_time ();
  dscore_alarm_arm (self->silence, self->config->ping_interval);
  self->sink->opened (self->owner);
  /* Messages may have come along with the head. */
  if (self->stage == OPEN && size > 0)
    take_frames (self, rest, size);
  unref (self);
}

static void
on_failed (gpointer owner, const char *reason, double retry_after)
{
  fail (owner, reason, retry_after);
}

static void
on_limit (gpointer owner, gint64 gap)
{
  DscoreSocket *self = owner;
  self->refs++;
  end (self);
  unref (self);
}

static void
on_silence (gpointer owner, gint64 gap)
{
  DscoreSocket *self = owner;
  gint64 interval = self->config->ping_interval;
  gint64 most = interval + self->config->ping_timeout;
  /* Not looked is not silent: what came meanwhile lies in the socket, and is read next. */
  self->last_seen += gap;
  gint64 silent = g_get_monotonic_time () - self->last_seen;
  self->refs++;
  if (silent >= most)
    dscore_socket_abort (self, "ping timeout");
  else
    {
      if (silent >= interval)
        write_frame (self, DSCORE_OPCODE_PING, NULL, 0);
      /* Traffic moves no timer: it is looked at when the timer fires. */
      if (self->stage == OPEN)
        dscore_alarm_arm (self->silence, silent < interval ? interval - silent : MIN (interval, most - silent));
    }
  unref (self);
}

DscoreSocket *
dscore_socket_open (DscoreConfig *config, DscoreCredentials *credentials, const DscoreMessageLimits *limits, GMainContext *context,
                    const DscoreSocketSink *sink, gpointer owner)
{
  static const DscoreMessageSink heard = { on_message, on_ping, on_close };
  static const DscoreOpeningSink opening = { on_opened, on_failed };
  DscoreSocket *self = g_new0 (DscoreSocket, 1);
  self->refs = 1;
  self->config = g_object_ref (config);
  self->context = g_main_context_ref (context);
  self->sink = sink;
  self->owner = owner;
  self->messages = dscore_messages_new (limits, &heard, self);
  self->limit = dscore_alarm_new (context, on_limit, self);
  self->silence = dscore_alarm_new (context, on_silence, self);
  set_end (self, DSCORE_CLOSE_CUT, "");
  self->opening = dscore_opening_new (config, credentials, context, &opening, self);
  return self;
}

gboolean
dscore_socket_is_open (const DscoreSocket *self)
{
  return self->stage == OPEN;
}

gboolean
dscore_socket_is_writable (const DscoreSocket *self)
{
  return self->stage == OPEN && !self->is_full;
}

void
dscore_socket_send (DscoreSocket *self, gconstpointer data, gsize size, gboolean is_text)
{
  if (self->stage != OPEN)
    return;
  if (dscore_stream_queued (self->stream) > MAX_QUEUED + self->config->max_message_size)
    {
      dscore_socket_abort (self, "the server does not read");
      return;
    }
  write_frame (self, is_text ? DSCORE_OPCODE_TEXT : DSCORE_OPCODE_BINARY, data, size);
}

void
dscore_socket_expect (DscoreSocket *self, gint64 question_us)
{
  gint64 interval = self->config->ping_interval, timeout = self->config->ping_timeout;
  /* A ping goes out all the same where the answer is late: there are servers that take heartbeats and say nothing. */
  if (self->stage == OPEN && question_us <= interval + timeout / 2)
    dscore_alarm_arm (self->silence, interval + timeout / 4 * 3);
}

void
dscore_socket_close (DscoreSocket *self, guint code, const char *reason)
{
  if (self->stage == OPEN)
    leave_with (self, code, reason);
  else if (self->stage < OPEN)
    fail (self, reason, -1);
}

void
dscore_socket_abort (DscoreSocket *self, const char *reason)
{
  if (self->stage < OPEN)
    fail (self, reason, -1);
  else
    {
      set_end (self, DSCORE_CLOSE_CUT, reason);
      end (self);
    }
}

void
dscore_socket_free (DscoreSocket *self)
{
  if (self == NULL)
    return;
  self->sink = NULL;
  release (self);
  unref (self);
}
