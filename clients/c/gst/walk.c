/* Looks into a pipeline: where it begins, what is in it, what its pads are linked to.
 *
 * Works while an element hangs: only object locks are taken, which no element holds while it waits. */
#include "walk.h"

static GPtrArray *
collect (GstIterator *iterator)
{
  GPtrArray *found = g_ptr_array_new_with_free_func (gst_object_unref);
  GValue item = G_VALUE_INIT;
  GstIteratorResult result;

  while ((result = gst_iterator_next (iterator, &item)) == GST_ITERATOR_OK || result == GST_ITERATOR_RESYNC) {
    if (result == GST_ITERATOR_OK) {
      g_ptr_array_add (found, g_value_dup_object (&item));
      g_value_reset (&item);
    } else {
      /* Something was added or removed meanwhile. */
      g_ptr_array_set_size (found, 0);
      gst_iterator_resync (iterator);
    }
  }
  if (G_IS_VALUE (&item))
    g_value_unset (&item);
  gst_iterator_free (iterator);
  return found;
}

/* Keeps the elements that a condition holds for. */
static GPtrArray *
only (GPtrArray *elements, gboolean (*holds) (GstElement *))
{
  GPtrArray *kept = g_ptr_array_new_with_free_func (gst_object_unref);

  for (guint i = 0; i < elements->len; i++)
    if (holds (elements->pdata[i]))
      g_ptr_array_add (kept, gst_object_ref (elements->pdata[i]));
  g_ptr_array_unref (elements);
  return kept;
}

static gboolean
is_leaf (GstElement *element)
{
  return !GST_IS_BIN (element);
}

static gboolean
is_open (GstElement *element)
{
  return !dscore_walk_is_private (element);
}

GPtrArray *
dscore_walk_children (GstBin *bin)
{
  return collect (gst_bin_iterate_elements (bin));
}

GPtrArray *
dscore_walk_descendants (GstBin *bin)
{
  return collect (gst_bin_iterate_recurse (bin));
}

GPtrArray *
dscore_walk_sources (GstBin *pipeline)
{
  return only (dscore_walk_children (pipeline), dscore_walk_is_source);
}

GPtrArray *
dscore_walk_leaves (GstBin *pipeline)
{
  return only (dscore_walk_descendants (pipeline), is_leaf);
}

GPtrArray *
dscore_walk_open_leaves (GstBin *pipeline)
{
  return only (dscore_walk_leaves (pipeline), is_open);
}

GPtrArray *
dscore_walk_sink_pads (GstElement *element)
{
  return collect (gst_element_iterate_sink_pads (element));
}

GPtrArray *
dscore_walk_src_pads (GstElement *element)
{
  return collect (gst_element_iterate_src_pads (element));
}

GPtrArray *
dscore_walk_all_sink_pads (GstBin *pipeline)
{
  g_autoptr (GPtrArray) elements = dscore_walk_leaves (pipeline);
  GPtrArray *pads = g_ptr_array_new_with_free_func (gst_object_unref);

  for (guint i = 0; i < elements->len; i++) {
    g_autoptr (GPtrArray) its = dscore_walk_sink_pads (elements->pdata[i]);

    for (guint k = 0; k < its->len; k++)
      g_ptr_array_add (pads, gst_object_ref (its->pdata[k]));
  }
  return pads;
}

static gboolean
is_flagged (GstElement *element)
{
  return GST_OBJECT_FLAG_IS_SET (element, GST_ELEMENT_FLAG_SOURCE);
}

static void
count_pads (GstElement *element, guint *ways_in, guint *ways_out)
{
  GST_OBJECT_LOCK (element);
  *ways_in = element->numsinkpads;
  *ways_out = element->numsrcpads;
  GST_OBJECT_UNLOCK (element);
}

/* Elements of an application often forget the flag, but have no way in. Others have the flag and a way in: webrtcbin, which is a
 * source only where a peer sends it something. */
gboolean
dscore_walk_is_source (GstElement *element)
{
  guint ways_in, ways_out;

  count_pads (element, &ways_in, &ways_out);
  if (ways_in == 0)
    return is_flagged (element) || ways_out > 0;
  return is_flagged (element) && ways_out > 0;
}

/* It says that it is a source, and takes data all the same, to carry it to a peer. */
gboolean
dscore_walk_is_transport (GstElement *element)
{
  guint ways_in, ways_out;

  count_pads (element, &ways_in, &ways_out);
  return is_flagged (element) && ways_in > 0;
}

gboolean
dscore_walk_has_way_out (GstElement *element)
{
  guint ways_in, ways_out;

  count_pads (element, &ways_in, &ways_out);
  return ways_out > 0;
}

/* It is a source or a transport of the top level, or in one: how an end gets through such a bin is its own affair. */
gboolean
dscore_walk_is_private (GstElement *element)
{
  g_autoptr (GstElement) top = gst_object_ref (element);

  for (;;) {
    g_autoptr (GstObject) parent = gst_object_get_parent (GST_OBJECT (top));
    g_autoptr (GstObject) above = parent == NULL ? NULL : gst_object_get_parent (parent);

    if (above == NULL)
      return is_flagged (top) || dscore_walk_is_source (top);
    gst_object_unref (top);
    top = GST_ELEMENT (g_steal_pointer (&parent));
  }
}

/* It has sinks that its bus waits for though no end need ever come to them. */
gboolean
dscore_walk_has_private_sinks (GstBin *pipeline)
{
  g_autoptr (GPtrArray) elements = dscore_walk_leaves (pipeline);

  for (guint i = 0; i < elements->len; i++)
    if (!dscore_walk_has_way_out (elements->pdata[i]) && dscore_walk_is_private (elements->pdata[i]))
      return TRUE;
  return FALSE;
}

gboolean
dscore_walk_has_live_source (GstBin *pipeline)
{
  g_autoptr (GPtrArray) sources = dscore_walk_sources (pipeline);
  gboolean live = FALSE;

  for (guint i = 0; i < sources->len && !live; i++) {
    g_autoptr (GPtrArray) pads = dscore_walk_src_pads (sources->pdata[i]);

    for (guint k = 0; k < pads->len && !live; k++) {
      g_autoptr (GstQuery) query = gst_query_new_latency ();

      if (gst_pad_query (pads->pdata[k], query))
        gst_query_parse_latency (query, &live, NULL, NULL);
    }
  }
  return live;
}

gboolean
dscore_walk_has_ended (GstPad *pad)
{
  g_autoptr (GstEvent) end = gst_pad_get_sticky_event (pad, GST_EVENT_EOS, 0);

  return end != NULL;
}

gboolean
dscore_walk_have_all_ended (GPtrArray *pads)
{
  for (guint i = 0; i < pads->len; i++)
    if (!dscore_walk_has_ended (pads->pdata[i]))
      return FALSE;
  return TRUE;
}

gboolean
dscore_walk_is_free (GstPad *pad)
{
  if (!GST_PAD_STREAM_TRYLOCK (pad))
    return FALSE;
  GST_PAD_STREAM_UNLOCK (pad);
  return TRUE;
}

/* From a pad on to what it is linked to: the pads of bins in between, then an element's. */
static GPtrArray *
way (GstPad *pad)
{
  GPtrArray *passed = g_ptr_array_new_with_free_func (gst_object_unref);
  GstPad *peer = gst_pad_get_peer (pad);

  while (peer != NULL) {
    g_autoptr (GstObject) parent = gst_object_get_parent (GST_OBJECT (peer));

    g_ptr_array_add (passed, peer);
    if (GST_IS_GHOST_PAD (peer))
      /* Out of a bin: go in, to what is behind its pad. */
      peer = gst_ghost_pad_get_target (GST_GHOST_PAD (peer));
    else if (GST_IS_GHOST_PAD (parent))
      /* Into a bin, seen from inside: go out, to what its pad is linked to. */
      peer = gst_pad_get_peer (GST_PAD (parent));
    else
      peer = NULL;
  }
  return passed;
}

gboolean
dscore_walk_is_held_up (GstElement *element)
{
  g_autoptr (GPtrArray) pads = dscore_walk_src_pads (element);

  for (guint i = 0; i < pads->len; i++) {
    g_autoptr (GPtrArray) passed = way (pads->pdata[i]);

    for (guint k = 0; k < passed->len; k++)
      if (!dscore_walk_is_free (passed->pdata[k]))
        return TRUE;
  }
  return FALSE;
}

GstPad *
dscore_walk_linked_pad (GstPad *pad)
{
  g_autoptr (GPtrArray) passed = way (pad);
  GstPad *last = passed->len == 0 ? NULL : passed->pdata[passed->len - 1];

  return last == NULL || GST_IS_PROXY_PAD (last) ? NULL : gst_object_ref (last);
}

GstElement *
dscore_walk_upstream (GstPad *pad)
{
  g_autoptr (GstPad) before = dscore_walk_linked_pad (pad);

  return before == NULL ? NULL : gst_pad_get_parent_element (before);
}

char *
dscore_walk_pad_name (GstPad *pad)
{
  g_autoptr (GstElement) element = gst_pad_get_parent_element (pad);

  return g_strdup_printf ("%s.%s", element == NULL ? "" : GST_OBJECT_NAME (element), GST_OBJECT_NAME (pad));
}
