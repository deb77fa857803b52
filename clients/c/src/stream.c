/* Reads what is there, a bounded part of it a turn; writes at once what the kernel takes, and the rest when it has room. */
#include "stream.h"

#define READ_SIZE (16 * 1024)
#define READS_A_TURN 16

struct _DscoreStream {
  guint refs; /* a turn holds one */
  GIOStream *stream;
  GPollableInputStream *input;
  GPollableOutputStream *output;
  GMainContext *context;
  const DscoreStreamSink *sink; /* NULL: freed by its owner */
  gpointer owner;
  GSource *reading;
  GSource *writing; /* NULL: nothing waits for room */
  GByteArray *queue;
  gsize sent;  /* of `queue` */
  char *error; /* of a write: told from the loop, for a flush is a call of the owner */
};

static void
unref (DscoreStream *self)
{
  if (--self->refs > 0)
    return;
  g_object_unref (self->stream);
  g_main_context_unref (self->context);
  g_byte_array_unref (self->queue);
  g_free (self->error);
  g_free (self);
}

static void
drop_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

static void
over (DscoreStream *self, const char *error)
{
  drop_source (&self->reading);
  drop_source (&self->writing);
  if (self->sink != NULL)
    self->sink->over (self->owner, error);
}

/* One part; FALSE: there is no more now. */
static gboolean
read_part (DscoreStream *self)
{
  guint8 buffer[READ_SIZE];
  g_autoptr (GError) error = NULL;
  gssize size = g_pollable_input_stream_read_nonblocking (self->input, buffer, sizeof buffer, NULL, &error);
  if (size > 0)
    {
      self->sink->data (self->owner, buffer, (gsize) size);
      return self->sink != NULL;
    }
  if (size == 0)
    over (self, NULL);
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    over (self, error->message);
  return FALSE;
}

static gboolean
on_readable (GObject *input, gpointer data)
{
  DscoreStream *self = data;
  self->refs++;
  for (int i = 0; i < READS_A_TURN && read_part (self); i++)
    continue;
  unref (self);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_writable (GObject *output, gpointer data)
{
  DscoreStream *self = data;
  self->refs++;
  if (self->error == NULL)
    dscore_stream_flush (self);
  if (self->error != NULL)
    over (self, self->error);
  else if (self->sink != NULL)
    self->sink->drained (self->owner);
  unref (self);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_failed (gpointer data)
{
  return on_writable (NULL, data);
}

static void
wait_for_room (DscoreStream *self)
{
  if (self->writing != NULL)
    return;
  if (self->error != NULL)
    {
      self->writing = g_idle_source_new ();
      g_source_set_callback (self->writing, on_failed, self, NULL);
    }
  else
    {
      self->writing = g_pollable_output_stream_create_source (self->output, NULL);
      g_source_set_callback (self->writing, G_SOURCE_FUNC (on_writable), self, NULL);
    }
  g_source_attach (self->writing, self->context);
}

DscoreStream *
dscore_stream_new (GIOStream *stream, GMainContext *context, const DscoreStreamSink *sink, gpointer owner)
{
  DscoreStream *self = g_new0 (DscoreStream, 1);
  self->refs = 1;
  self->stream = g_object_ref (stream);
  self->input = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (stream));
  self->output = G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (stream));
  self->context = g_main_context_ref (context);
  self->sink = sink;
  self->owner = owner;
  self->queue = g_byte_array_new ();
  self->reading = g_pollable_input_stream_create_source (self->input, NULL);
  g_source_set_callback (self->reading, G_SOURCE_FUNC (on_readable), self, NULL);
  g_source_attach (self->reading, context);
  return self;
}

void
dscore_stream_free (DscoreStream *self)
{
  if (self == NULL)
    return;
  self->sink = NULL;
  drop_source (&self->reading);
  drop_source (&self->writing);
  unref (self);
}

GByteArray *
dscore_stream_output (DscoreStream *self)
{
  return self->queue;
}

gsize
dscore_stream_queued (const DscoreStream *self)
{
  return self->queue->len - self->sent;
}

void
dscore_stream_flush (DscoreStream *self)
{
  while (self->error == NULL && self->sent < self->queue->len)
    {
      g_autoptr (GError) error = NULL;
      gssize size = g_pollable_output_stream_write_nonblocking (self->output, self->queue->data + self->sent, self->queue->len - self->sent,
                                                                NULL, &error);
      if (size > 0)
        self->sent += (gsize) size;
      else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        break;
      else
        self->error = g_strdup (error != NULL ? error->message : "the connection takes nothing");
    }
  if (self->sent == self->queue->len)
    {
      /* What a burst has needed is not held for months. */
      if (self->sent > 256 * 1024)
        {
          g_byte_array_unref (self->queue);
          self->queue = g_byte_array_new ();
        }
      g_byte_array_set_size (self->queue, 0);
      self->sent = 0;
      if (self->error == NULL)
        {
          drop_source (&self->writing);
          return;
        }
    }
  else if (self->sent > 64 * 1024)
    {
      g_byte_array_remove_range (self->queue, 0, (guint) self->sent);
      self->sent = 0;
    }
  wait_for_room (self);
}
