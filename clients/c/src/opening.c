/* From an address to an open WebSocket:
 *
 *     dial      a TCP connection, through a proxy where there is one; within DIAL_US
 *     secure    TLS, where the address is wss
 *     upgrade   the request out, the head of the answer in; both within UPGRADE_US
 *
 * Each step is one operation of GIO; the next begins where it has ended. */
#include "opening.h"

#include "alarm.h"
#include "dial.h"
#include "handshake.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define DIAL_US (10 * G_USEC_PER_SEC)
#define UPGRADE_US (60 * G_USEC_PER_SEC) /* a server that has just booted upgrades a fleet one after the other */
#define READ_SIZE 4096

struct _DscoreOpening {
  guint refs; /* the owner's, and that of the operation that runs */
  DscoreConfig *config;
  DscoreCredentials *credentials;
  const DscoreOpeningSink *sink; /* NULL: told, or abandoned */
  gpointer owner;
  GCancellable *cancellable;
  DscoreAlarm *limit;
  GSocketConnection *connection;
  GIOStream *stream;
  char key[DSCORE_KEY_SIZE + 1];
  char *request;
  GByteArray *head;
  guint8 buffer[READ_SIZE];
};

static void
unref (DscoreOpening *self)
{
  if (--self->refs > 0)
    return;
  g_object_unref (self->config);
  dscore_credentials_unref (self->credentials);
  g_object_unref (self->cancellable);
  g_clear_object (&self->stream);
  g_clear_object (&self->connection);
  g_free (self->request);
  g_byte_array_unref (self->head);
  g_free (self);
}

static void
stop (DscoreOpening *self)
{
  self->sink = NULL;
  g_clear_pointer (&self->limit, dscore_alarm_free);
  g_cancellable_cancel (self->cancellable);
}

static void
fail (DscoreOpening *self, const char *reason, double retry_after)
{
  const DscoreOpeningSink *sink = self->sink;
  if (sink == NULL)
    return;
  stop (self);
  if (self->connection != NULL)
    g_socket_close (g_socket_connection_get_socket (self->connection), NULL);
  sink->failed (self->owner, reason, retry_after);
}

static void on_read (GObject *source, GAsyncResult *result, gpointer data);

static void
read_on (DscoreOpening *self)
{
  self->refs++;
  g_input_stream_read_async (g_io_stream_get_input_stream (self->stream), self->buffer, READ_SIZE, G_PRIORITY_DEFAULT, self->cancellable,
                             on_read, self);
}

static void
take_head (DscoreOpening *self)
{
  gsize used;
  const char *fault;
  g_autoptr (DscoreHead) head = dscore_head_read ((const char *) self->head->data, self->head->len, &used, &fault);
  if (fault != NULL)
    {
      fail (self, fault, -1);
      return;
    }
  if (head == NULL)
    {
      read_on (self);
      return;
    }
  g_autofree char *refusal = dscore_handshake_fault (head, self->key);
  if (refusal != NULL)
    {
      fail (self, refusal, dscore_head_retry_after (head));
      return;
    }
  const DscoreOpeningSink *sink = self->sink;
  stop (self);
  sink->opened (self->owner, self->connection, self->stream, self->head->data + used, self->head->len - used);
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer data)
{
  DscoreOpening *self = data;
  g_autoptr (GError) error = NULL;
  gssize size = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);
  if (self->sink == NULL)
    {
      unref (self);
      return;
    }
  if (size < 0)
    fail (self, error->message, -1);
  else if (size == 0)
    fail (self, "the server closed the connection during the upgrade", -1);
  else
    {
      g_byte_array_append (self->head, self->buffer, (guint) size);
      take_head (self);
    }
  unref (self);
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer data)
{
  DscoreOpening *self = data;
  g_autoptr (GError) error = NULL;
  gboolean written = g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, &error);
  if (self->sink != NULL && written)
    read_on (self);
  else if (self->sink != NULL)
    fail (self, error->message, -1);
  unref (self);
}

static void
on_secured (GObject *source, GAsyncResult *result, gpointer data)
{
  DscoreOpening *self = data;
  g_autoptr (GError) error = NULL;
  self->stream = dscore_secure_finish (result, &error);
  if (self->sink != NULL && self->stream == NULL)
    fail (self, error->message, -1);
  else if (self->sink != NULL)
    {
      dscore_handshake_key (self->key);
      self->request = dscore_handshake_request (self->config->target, self->config->authority, self->key);
      self->refs++;
      g_output_stream_write_all_async (g_io_stream_get_output_stream (self->stream), self->request, strlen (self->request),
                                       G_PRIORITY_DEFAULT, self->cancellable, on_written, self);
    }
  unref (self);
}

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer data)
{
  DscoreOpening *self = data;
  g_autoptr (GError) error = NULL;
  self->connection = dscore_dial_finish (result, &error);
  if (self->sink != NULL && self->connection == NULL)
    fail (self, error->message, -1);
  else if (self->sink != NULL)
    {
      g_socket_set_option (g_socket_connection_get_socket (self->connection), IPPROTO_TCP, TCP_NODELAY, 1, NULL);
      dscore_alarm_arm (self->limit, UPGRADE_US);
      self->refs++;
      dscore_secure_async (self->config, self->credentials, self->connection, self->cancellable, on_secured, self);
    }
  unref (self);
}

static void
on_limit (gpointer owner, gint64 gap)
{
  fail (owner, "no answer in time", -1);
}

DscoreOpening *
dscore_opening_new (DscoreConfig *config, DscoreCredentials *credentials, GMainContext *context, const DscoreOpeningSink *sink,
                    gpointer owner)
{
  DscoreOpening *self = g_new0 (DscoreOpening, 1);
  self->refs = 2; /* the owner's, and dialling's */
  self->config = g_object_ref (config);
  self->credentials = dscore_credentials_ref (credentials);
  self->sink = sink;
  self->owner = owner;
  self->cancellable = g_cancellable_new ();
  self->head = g_byte_array_new ();
  self->limit = dscore_alarm_new (context, on_limit, self);
  dscore_alarm_arm (self->limit, DIAL_US);
  dscore_dial_async (config, self->cancellable, on_dialled, self);
  return self;
}

void
dscore_opening_free (DscoreOpening *self)
{
  if (self == NULL)
    return;
  stop (self);
  unref (self);
}
