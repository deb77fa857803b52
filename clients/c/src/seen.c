/* Messages that were seen already. */
#include "seen.h"

#include <string.h>

#define MAX_SEEN 1000
#define MAX_ID 128 /* bytes; a UUID has 36, and a longer one is not worth its memory */

void
dscore_seen_init (DscoreSeen *self)
{
  self->ids = g_hash_table_new (g_str_hash, g_str_equal);
  g_queue_init (&self->order);
}

void
dscore_seen_clear (DscoreSeen *self)
{
  g_hash_table_unref (self->ids);
  g_queue_clear_full (&self->order, g_free);
}

gboolean
dscore_seen_is_repeated (DscoreSeen *self, const char *id)
{
  if (id == NULL || strlen (id) > MAX_ID)
    return FALSE;
  GList *found = g_hash_table_lookup (self->ids, id);
  if (found != NULL)
    {
      g_queue_unlink (&self->order, found);
      g_queue_push_tail_link (&self->order, found);
      return TRUE;
    }
  g_queue_push_tail (&self->order, g_strdup (id));
  g_hash_table_insert (self->ids, self->order.tail->data, self->order.tail);
  if (g_queue_get_length (&self->order) > MAX_SEEN)
    {
      char *oldest = g_queue_pop_head (&self->order);
      g_hash_table_remove (self->ids, oldest);
      g_free (oldest);
    }
  return FALSE;
}
