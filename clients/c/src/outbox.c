/* A queue that drops its oldest message when it is full, and counts them. */
#include "outbox.h"

void
dscore_outbox_init (DscoreOutbox *self, guint limit)
{
  g_mutex_init (&self->lock);
  g_queue_init (&self->messages);
  self->limit = limit;
}

static void
bytes_unref (gpointer bytes)
{
  g_bytes_unref (bytes);
}

void
dscore_outbox_clear (DscoreOutbox *self)
{
  g_queue_clear_full (&self->messages, bytes_unref);
  g_mutex_clear (&self->lock);
}

DscoreOutboxResult
dscore_outbox_put (DscoreOutbox *self, GBytes *message, gboolean is_control)
{
  DscoreOutboxResult result = DSCORE_OUTBOX_TAKEN;
  GBytes *oldest = NULL;
  g_mutex_lock (&self->lock);
  if (self->closed)
    result = DSCORE_OUTBOX_CLOSED;
  else if (self->refusing && !is_control)
    result = DSCORE_OUTBOX_REFUSED;
  else
    {
      if (g_queue_get_length (&self->messages) >= self->limit)
        {
          oldest = g_queue_pop_head (&self->messages);
          self->dropped++;
        }
      g_queue_push_tail (&self->messages, g_bytes_ref (message));
    }
  g_mutex_unlock (&self->lock);
  if (oldest != NULL)
    g_bytes_unref (oldest);
  return result;
}

GBytes *
dscore_outbox_take (DscoreOutbox *self)
{
  g_mutex_lock (&self->lock);
  GBytes *message = g_queue_pop_head (&self->messages);
  g_mutex_unlock (&self->lock);
  return message;
}

void
dscore_outbox_refuse (DscoreOutbox *self, gboolean refusing)
{
  g_mutex_lock (&self->lock);
  self->refusing = refusing;
  g_mutex_unlock (&self->lock);
}

void
dscore_outbox_close (DscoreOutbox *self)
{
  g_mutex_lock (&self->lock);
  self->closed = TRUE;
  g_mutex_unlock (&self->lock);
}

void
dscore_outbox_count (DscoreOutbox *self, guint *queued, guint64 *dropped)
{
  g_mutex_lock (&self->lock);
  *queued = g_queue_get_length (&self->messages);
  *dropped = self->dropped;
  g_mutex_unlock (&self->lock);
}
