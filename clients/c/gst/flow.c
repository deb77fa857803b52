/* What still moves in a pipeline, and which pads at rest will hear no more of their stream.
 *
 * A probe on each sink pad fires once between two looks: it costs as much on a pad that carries a thousand buffers a second as
 * on one that carries ten. */
#include "flow.h"

#include "walk.h"

#define MOVES (GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM)

#define LEFT_ALONE 2

typedef struct {
  int passed; /* Atomic, set in streaming threads: FALSE, TRUE, or LEFT_ALONE. */
  gulong probe;
  gint64 moved;
} Watched;

struct _DscoreFlow {
  GstBin *pipeline;
  GHashTable *watched; /* GstPad → Watched */
  gint64 last;
};

static GstPadProbeReturn
pass (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Watched *watched = data;

  /* A probe goes once: by itself, or by the hand that gives up watching. */
  return g_atomic_int_compare_and_exchange (&watched->passed, FALSE, TRUE) ? GST_PAD_PROBE_REMOVE : GST_PAD_PROBE_OK;
}

DscoreFlow *
dscore_flow_new (GstBin *pipeline)
{
  DscoreFlow *flow = g_new0 (DscoreFlow, 1);

  flow->pipeline = gst_object_ref (pipeline);
  flow->watched = g_hash_table_new_full (NULL, NULL, gst_object_unref, g_atomic_rc_box_release);
  flow->last = g_get_monotonic_time ();
  return flow;
}

void
dscore_flow_free (DscoreFlow *flow)
{
  GHashTableIter iter;
  gpointer pad, watched;

  g_hash_table_iter_init (&iter, flow->watched);
  while (g_hash_table_iter_next (&iter, &pad, &watched))
    if (g_atomic_int_compare_and_exchange (&((Watched *) watched)->passed, FALSE, LEFT_ALONE))
      gst_pad_remove_probe (pad, ((Watched *) watched)->probe);
  g_hash_table_unref (flow->watched);
  gst_object_unref (flow->pipeline);
  g_free (flow);
}

void
dscore_flow_look (DscoreFlow *flow)
{
  g_autoptr (GPtrArray) pads = dscore_walk_all_sink_pads (flow->pipeline);
  gint64 now = g_get_monotonic_time ();

  for (guint i = 0; i < pads->len; i++) {
    GstPad *pad = pads->pdata[i];
    Watched *watched = g_hash_table_lookup (flow->watched, pad);

    if (watched == NULL) {
      watched = g_atomic_rc_box_new0 (Watched);
      g_hash_table_insert (flow->watched, gst_object_ref (pad), watched);
    } else if (!g_atomic_int_get (&watched->passed)) {
      continue;
    }
    watched->moved = flow->last = now;
    g_atomic_int_set (&watched->passed, 0);
    /* The probe has a reference of its own: it may be running when it is removed. */
    watched->probe = gst_pad_add_probe (pad, MOVES, pass, g_atomic_rc_box_acquire (watched), g_atomic_rc_box_release);
  }
}

gint64
dscore_flow_rest (DscoreFlow *flow)
{
  return g_get_monotonic_time () - flow->last;
}

static gboolean
takes_pushes (GstPad *pad)
{
  gboolean takes;

  GST_OBJECT_LOCK (pad);
  takes = GST_PAD_MODE (pad) == GST_PAD_MODE_PUSH;
  GST_OBJECT_UNLOCK (pad);
  return takes;
}

/* What feeds it, which has a way in that is not at its end, is held up on its way to another pad. */
static gboolean
is_feeder_held_up (DscoreFlow *flow, GstElement *feeder, GPtrArray *inputs, gint64 rest, gboolean hung, gboolean *open)
{
  gint64 now = g_get_monotonic_time ();
  gboolean held = FALSE;

  *open = FALSE;
  for (guint i = 0; i < inputs->len; i++) {
    Watched *watched = g_hash_table_lookup (flow->watched, inputs->pdata[i]);

    if (dscore_walk_has_ended (inputs->pdata[i]))
      continue;
    *open = TRUE;
    if (watched != NULL && now - watched->moved < rest)
      return FALSE;
    held = held || !dscore_walk_is_free (inputs->pdata[i]);
  }
  /* At rest itself, it waits for what feeds it: that is where the end gets lost. */
  return held && (hung || dscore_walk_is_held_up (feeder));
}

static gboolean
waits_in_vain (DscoreFlow *flow, GstPad *pad, gint64 rest, gboolean hung)
{
  g_autoptr (GstElement) element = gst_pad_get_parent_element (pad);
  g_autoptr (GstPad) before = NULL;
  g_autoptr (GstElement) feeder = NULL;
  g_autoptr (GPtrArray) inputs = NULL;
  gboolean held, open;

  if (element == NULL || !takes_pushes (pad) || dscore_walk_has_ended (pad) || !dscore_walk_is_free (pad))
    return FALSE;
  if (dscore_walk_is_private (element))
    return FALSE;
  before = dscore_walk_linked_pad (pad);
  feeder = before == NULL ? NULL : gst_pad_get_parent_element (before);
  if (feeder == NULL || dscore_walk_is_private (feeder))
    return TRUE;
  inputs = dscore_walk_sink_pads (feeder);
  held = is_feeder_held_up (flow, feeder, inputs, rest, hung, &open);
  /* Without an input that is open, its own thread may still be at what it has: a muxer's at the index. */
  return open ? held : hung || dscore_walk_is_free (before);
}

GPtrArray *
dscore_flow_idle_pads (DscoreFlow *flow, gint64 rest, gboolean hung)
{
  GPtrArray *found = g_ptr_array_new_with_free_func (gst_object_unref);
  gint64 now = g_get_monotonic_time ();
  GHashTableIter iter;
  gpointer pad, watched;

  g_hash_table_iter_init (&iter, flow->watched);
  while (g_hash_table_iter_next (&iter, &pad, &watched))
    if (now - ((Watched *) watched)->moved >= rest && waits_in_vain (flow, pad, rest, hung))
      g_ptr_array_add (found, gst_object_ref (pad));
  return found;
}
