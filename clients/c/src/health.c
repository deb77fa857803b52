/* GET /deepstream/health, as far as an agent cares. All of it is bounded together, not each read: a page that trickles in is no
 * answer either. */
#include "health.h"

#include "alarm.h"
#include "dial.h"
#include "healthscan.h"
#include "http.h"

#include <string.h>

#define MAX_BODY (16u * 1024 * 1024) /* the page lists every instance, and 100,000 long names fit */
#define READ_SIZE (16 * 1024)

/* A body in chunks (RFC 9112 §7.1), byte for byte. */
typedef struct {
  gboolean on;
  enum { CHUNK_SIZE, CHUNK_LINE, CHUNK_DATA, CHUNK_END } at;
  gsize left;
} Chunks;

typedef struct {
  DscoreConfig *config;
  DscoreCredentials *credentials;
  char *request;
  GCancellable *cancellable; /* of the work within: the timeout cancels it, and so does the caller */
  gulong link;
  DscoreAlarm *alarm;
  gboolean is_late;
  GIOStream *stream;
  GSocketConnection *connection;
  GByteArray *head_bytes;
  DscoreHead *head;
  gsize body, length; /* length: G_MAXSIZE: until the end */
  Chunks chunks;
  gboolean is_done;
  DscoreHealthScan scan;
  guint8 buffer[READ_SIZE];
} Asking;

static void
asking_free (gpointer data)
{
  Asking *self = data;
  g_object_unref (self->config);
  dscore_credentials_unref (self->credentials);
  g_free (self->request);
  g_object_unref (self->cancellable);
  dscore_alarm_free (self->alarm);
  g_clear_object (&self->stream);
  if (self->connection != NULL)
    g_socket_close (g_socket_connection_get_socket (self->connection), NULL);
  g_clear_object (&self->connection);
  g_byte_array_unref (self->head_bytes);
  dscore_head_free (self->head);
  g_free (self);
}

void
dscore_look_free (DscoreLook *self)
{
  if (self == NULL)
    return;
  g_free (self->reason);
  g_free (self);
}

/* Ends the asking, whatever of it still runs. */
static void
finish (GTask *task, DscoreHealth health, const char *reason, double retry_after)
{
  Asking *self = g_task_get_task_data (task);
  dscore_alarm_cancel (self->alarm);
  g_cancellable_disconnect (g_task_get_cancellable (task), self->link);
  self->link = 0;
  DscoreLook *look = g_new (DscoreLook, 1);
  look->health = health;
  look->reason = g_strdup (reason);
  look->is_connected = health == DSCORE_HEALTH_UNREACHABLE ? -1 : self->scan.is_connected;
  look->retry_after = retry_after;
  g_task_return_pointer (task, look, (GDestroyNotify) dscore_look_free);
}

static void
finish_error (GTask *task, GError *error)
{
  Asking *self = g_task_get_task_data (task);
  g_autofree char *late = g_strdup_printf ("no answer within %g s", (double) self->config->health_check_timeout / G_USEC_PER_SEC);
  finish (task, DSCORE_HEALTH_UNREACHABLE, self->is_late ? late : error->message, -1);
  g_error_free (error);
}

static void
judge (GTask *task)
{
  Asking *self = g_task_get_task_data (task);
  DscoreHealth health = dscore_health_scan_judge (&self->scan);
  double retry_after = self->head == NULL ? -1 : dscore_head_retry_after (self->head);
  if (self->head == NULL)
    finish (task, DSCORE_HEALTH_UNREACHABLE, "the connection was closed without an answer", retry_after);
  else if (health != DSCORE_HEALTH_UNREACHABLE)
    finish (task, health, "it says so", retry_after);
  else
    {
      g_autofree char *words = g_strdup_printf ("%s is no health document (HTTP %u): is this the address of a dscore server?",
                                                self->config->health_target, self->head->status);
      finish (task, health, words, retry_after);
    }
}

static void
take_chunked (Asking *self, const char *data, gsize size)
{
  Chunks *chunks = &self->chunks;
  for (gsize i = 0; i < size && !self->is_done; i++)
    {
      int digit = g_ascii_xdigit_value (data[i]);
      if (chunks->at == CHUNK_DATA)
        {
          gsize here = MIN (chunks->left, size - i);
          dscore_health_scan_feed (&self->scan, data + i, here);
          chunks->left -= here;
          i += here - 1;
          if (chunks->left == 0)
            chunks->at = CHUNK_END;
        }
      else if (chunks->at == CHUNK_END)
        chunks->at = data[i] == '\n' ? CHUNK_SIZE : CHUNK_END;
      else if (data[i] == '\n')
        {
          self->is_done = chunks->left == 0;
          chunks->at = CHUNK_DATA;
        }
      else if (chunks->at == CHUNK_SIZE && digit >= 0 && chunks->left < MAX_BODY)
        chunks->left = chunks->left * 16 + (gsize) digit;
      else
        chunks->at = CHUNK_LINE;
    }
}

static void
take_body (Asking *self, const char *data, gsize size)
{
  self->body += size;
  if (self->chunks.on)
    take_chunked (self, data, size);
  else
    dscore_health_scan_feed (&self->scan, data, MIN (size, self->length - MIN (self->length, self->body - size)));
  self->is_done |= self->body >= self->length;
}

static const char *
take (Asking *self, const guint8 *data, gsize size)
{
  const char *fault = NULL;
  if (self->head != NULL)
    {
      take_body (self, (const char *) data, size);
      return self->body > MAX_BODY ? "the answer is too long" : NULL;
    }
  gsize used;
  g_byte_array_append (self->head_bytes, data, (guint) size);
  self->head = dscore_head_read ((const char *) self->head_bytes->data, self->head_bytes->len, &used, &fault);
  if (self->head == NULL)
    return fault;
  const char *length = dscore_head_get (self->head, "content-length");
  guint64 bytes;
  self->chunks.on = dscore_head_has_word (self->head, "transfer-encoding", "chunked");
  self->length = length != NULL && !self->chunks.on && g_ascii_string_to_unsigned (length, 10, 0, MAX_BODY, &bytes, NULL) ? (gsize) bytes
                                                                                                                        : G_MAXSIZE;
  take_body (self, (const char *) self->head_bytes->data + used, self->head_bytes->len - used);
  return NULL;
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Asking *self = g_task_get_task_data (task);
  GError *error = NULL;
  gssize size = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);
  if (size < 0)
    {
      finish_error (task, error);
      return;
    }
  const char *fault = size == 0 ? NULL : take (self, self->buffer, (gsize) size);
  if (fault != NULL)
    finish (task, DSCORE_HEALTH_UNREACHABLE, fault, -1);
  else if (size == 0 || self->is_done)
    judge (task);
  else
    g_input_stream_read_async (G_INPUT_STREAM (source), self->buffer, READ_SIZE, G_PRIORITY_DEFAULT, self->cancellable, on_read,
                               g_steal_pointer (&task));
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Asking *self = g_task_get_task_data (task);
  GError *error = NULL;
  if (!g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, &error))
    {
      finish_error (task, error);
      return;
    }
  g_input_stream_read_async (g_io_stream_get_input_stream (self->stream), self->buffer, READ_SIZE, G_PRIORITY_DEFAULT, self->cancellable,
                             on_read, g_steal_pointer (&task));
}

static void
on_secured (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Asking *self = g_task_get_task_data (task);
  GError *error = NULL;
  self->stream = dscore_secure_finish (result, &error);
  if (self->stream == NULL)
    {
      finish_error (task, error);
      return;
    }
  g_output_stream_write_all_async (g_io_stream_get_output_stream (self->stream), self->request, strlen (self->request),
                                   G_PRIORITY_DEFAULT, self->cancellable, on_written, g_steal_pointer (&task));
}

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  Asking *self = g_task_get_task_data (task);
  GError *error = NULL;
  self->connection = dscore_dial_finish (result, &error);
  if (self->connection == NULL)
    {
      finish_error (task, error);
      return;
    }
  dscore_secure_async (self->config, self->credentials, self->connection, self->cancellable, on_secured, g_steal_pointer (&task));
}

static void
on_late (gpointer owner, gint64 gap)
{
  Asking *self = owner;
  self->is_late = TRUE;
  g_cancellable_cancel (self->cancellable);
}

static void
on_cancelled (GCancellable *cancellable, gpointer inner)
{
  g_cancellable_cancel (inner);
}

void
dscore_health_look_async (DscoreConfig *config, DscoreCredentials *credentials, const char *about, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  g_autofree char *name = about == NULL ? NULL : g_uri_escape_string (about, NULL, FALSE);
  Asking *self = g_new0 (Asking, 1);
  self->config = g_object_ref (config);
  self->credentials = dscore_credentials_ref (credentials);
  self->request = g_strdup_printf ("GET %s%s%s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
                                   config->health_target, name == NULL ? "" : "?instance_id=", name == NULL ? "" : name, config->authority);
  self->cancellable = g_cancellable_new ();
  self->head_bytes = g_byte_array_new ();
  dscore_health_scan_init (&self->scan);
  self->alarm = dscore_alarm_new (g_main_context_get_thread_default (), on_late, self);
  g_task_set_task_data (task, self, asking_free);
  if (cancellable != NULL)
    self->link = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), g_object_ref (self->cancellable), g_object_unref);
  dscore_alarm_arm (self->alarm, config->health_check_timeout);
  dscore_dial_async (config, self->cancellable, on_dialled, g_steal_pointer (&task));
}

DscoreLook *
dscore_health_look_finish (GAsyncResult *result)
{
  return g_task_propagate_pointer (G_TASK (result), NULL);
}
