/* Names what hangs in a pipeline, what holds its streams up, and what they have not reached.
 *
 * A thread holds the state lock of an element for as long as it changes it, and the stream lock of every pad that it has come
 * through: trying those locks says where it is. */
#include "stuck.h"

#include "walk.h"

/* Of those that are joined for people: the answer must fit into a message, however great the pipeline. */
#define MAX_NAMES 20
#define MAX_NAME_BYTES 200

typedef void (*Look) (GstElement *element, GPtrArray *names);

static GPtrArray *
names_new (void)
{
  return g_ptr_array_new_with_free_func (g_free);
}

static int
compare (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(char *const *) a, *(char *const *) b);
}

gboolean
dscore_names_contain (GPtrArray *names, const char *name)
{
  return g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL);
}

/* Takes the name over. */
static void
add (GPtrArray *names, char *name)
{
  if (dscore_names_contain (names, name))
    g_free (name);
  else
    g_ptr_array_add (names, name);
}

static void
add_element (GPtrArray *names, GstElement *element)
{
  add (names, gst_object_get_name (GST_OBJECT (element)));
}

char *
dscore_names_join (GPtrArray *names)
{
  GString *joined = g_string_new (NULL);

  for (guint i = 0; i < MIN (names->len, MAX_NAMES); i++)
    g_string_append_printf (joined, "%s%.*s", i == 0 ? "" : ", ", MAX_NAME_BYTES, (const char *) names->pdata[i]);
  if (names->len > MAX_NAMES)
    g_string_append_printf (joined, " and %u more", names->len - MAX_NAMES);
  return g_string_free (joined, FALSE);
}

/* What `look` finds in each element. Takes the array over. */
static GPtrArray *
look_at (GPtrArray *elements, Look look)
{
  GPtrArray *names = names_new ();

  for (guint i = 0; i < elements->len; i++)
    look (elements->pdata[i], names);
  g_ptr_array_unref (elements);
  g_ptr_array_sort (names, compare);
  return names;
}

static gboolean
is_changing (GstElement *element)
{
  if (!GST_STATE_TRYLOCK (element))
    return TRUE;
  GST_STATE_UNLOCK (element);
  return FALSE;
}

static void
look_for_change (GstElement *element, GPtrArray *names)
{
  guint before = names->len;

  if (!is_changing (element))
    return;
  if (GST_IS_BIN (element)) {
    g_autoptr (GPtrArray) children = dscore_walk_children (GST_BIN (element));

    for (guint i = 0; i < children->len; i++)
      look_for_change (children->pdata[i], names);
  }
  /* No lock is held any deeper: here it hangs. */
  if (names->len == before)
    add_element (names, element);
}

GPtrArray *
dscore_stuck_changing (GstBin *pipeline)
{
  GPtrArray *names = names_new ();

  look_for_change (GST_ELEMENT (pipeline), names);
  g_ptr_array_sort (names, compare);
  return names;
}

static void
look_for_state (GstElement *element, GPtrArray *names)
{
  GstState state;

  GST_OBJECT_LOCK (element);
  state = GST_STATE (element);
  GST_OBJECT_UNLOCK (element);
  if (state != GST_STATE_NULL)
    add_element (names, element);
}

GPtrArray *
dscore_stuck_still_up (GstBin *pipeline)
{
  return look_at (dscore_walk_leaves (pipeline), look_for_state);
}

static void
look_for_first_frame (GstElement *element, GPtrArray *names)
{
  GstState pending;

  GST_OBJECT_LOCK (element);
  pending = GST_STATE_PENDING (element);
  GST_OBJECT_UNLOCK (element);
  if (!dscore_walk_has_way_out (element) && pending != GST_STATE_VOID_PENDING)
    add_element (names, element);
}

GPtrArray *
dscore_stuck_waiting_sinks (GstBin *pipeline)
{
  return look_at (dscore_walk_leaves (pipeline), look_for_first_frame);
}

static void
look_for_end (GstElement *element, GPtrArray *names)
{
  g_autoptr (GPtrArray) pads = dscore_walk_sink_pads (element);

  if (!dscore_walk_have_all_ended (pads))
    add_element (names, element);
}

static void
look_for_end_of_sink (GstElement *element, GPtrArray *names)
{
  if (!dscore_walk_has_way_out (element))
    look_for_end (element, names);
}

/* What is in a source or a transport does not count, for a connection outlives every stream: what has come to a transport itself
 * has come to its end. */
GPtrArray *
dscore_stuck_unended_sinks (GstBin *pipeline)
{
  g_autoptr (GPtrArray) children = dscore_walk_children (pipeline);
  GPtrArray *names = look_at (dscore_walk_open_leaves (pipeline), look_for_end_of_sink);

  for (guint i = 0; i < children->len; i++)
    if (dscore_walk_is_transport (children->pdata[i]))
      look_for_end (children->pdata[i], names);
  g_ptr_array_sort (names, compare);
  return names;
}

/* Where no lock behind an element is held any more, that element has the data and does not let go of it. */
static void
look_for_held_data (GstElement *element, GPtrArray *names)
{
  g_autoptr (GPtrArray) pads = dscore_walk_sink_pads (element);

  for (guint i = 0; i < pads->len; i++)
    if (!dscore_walk_has_ended (pads->pdata[i]) && !dscore_walk_is_free (pads->pdata[i])) {
      if (!dscore_walk_is_held_up (element))
        add_element (names, element);
      return;
    }
}

/* A bin that lets nothing in yet, as webrtcbin does without a peer, holds it at its own pad. */
static void
look_for_closed_door (GstElement *element, GPtrArray *names)
{
  g_autoptr (GPtrArray) pads = GST_IS_BIN (element) ? dscore_walk_sink_pads (element) : names_new ();

  for (guint i = 0; i < pads->len; i++) {
    GstPad *pad = pads->pdata[i];
    g_autoptr (GstPad) inside = GST_IS_GHOST_PAD (pad) ? gst_ghost_pad_get_target (GST_GHOST_PAD (pad)) : NULL;

    if (!dscore_walk_is_free (pad) && (inside == NULL || dscore_walk_is_free (inside)))
      add_element (names, element);
  }
}

GPtrArray *
dscore_stuck_blocking (GstBin *pipeline)
{
  g_autoptr (GPtrArray) all = dscore_walk_descendants (pipeline);
  GPtrArray *names = look_at (dscore_walk_open_leaves (pipeline), look_for_held_data);

  for (guint i = 0; i < all->len; i++)
    look_for_closed_door (all->pdata[i], names);
  g_ptr_array_sort (names, compare);
  return names;
}

static void
look_for_unlinked (GstElement *element, GPtrArray *names)
{
  g_autoptr (GPtrArray) pads = dscore_walk_sink_pads (element);

  for (guint i = 0; i < pads->len; i++) {
    g_autoptr (GstElement) feeder = dscore_walk_upstream (pads->pdata[i]);

    if (feeder == NULL && !dscore_walk_has_ended (pads->pdata[i]))
      add (names, dscore_walk_pad_name (pads->pdata[i]));
  }
}

GPtrArray *
dscore_stuck_unlinked (GstBin *pipeline)
{
  return look_at (dscore_walk_open_leaves (pipeline), look_for_unlinked);
}

/* Left is what has sent the end on or still has to, right the first that has not seen it. */
static void
look_for_stuck_end (GstElement *element, GPtrArray *names)
{
  g_autoptr (GPtrArray) pads = dscore_walk_sink_pads (element);

  for (guint i = 0; i < pads->len; i++) {
    g_autoptr (GstElement) feeder = dscore_walk_upstream (pads->pdata[i]);
    g_autoptr (GPtrArray) before = feeder == NULL ? NULL : dscore_walk_sink_pads (feeder);

    if (before != NULL && !dscore_walk_has_ended (pads->pdata[i]) && dscore_walk_have_all_ended (before))
      add (names, g_strdup_printf ("%s → %s", GST_OBJECT_NAME (feeder), GST_OBJECT_NAME (element)));
  }
}

GPtrArray *
dscore_stuck_ends (GstBin *pipeline)
{
  return look_at (dscore_walk_open_leaves (pipeline), look_for_stuck_end);
}

/* Takes the names over. */
static void
append_places (GString *words, const char *why, GPtrArray *names)
{
  g_autofree char *joined = dscore_names_join (names);

  if (names->len > 0)
    g_string_append_printf (words, ", %s %s", why, joined);
  g_ptr_array_unref (names);
}

char *
dscore_stuck_describe (GstBin *pipeline)
{
  g_autoptr (GPtrArray) sinks = dscore_stuck_unended_sinks (pipeline);
  g_autofree char *joined = dscore_names_join (sinks);
  GString *words = g_string_new ("no end of stream in time at ");

  g_string_append (words, sinks->len > 0 ? joined : GST_OBJECT_NAME (pipeline));
  append_places (words, "held up by", dscore_stuck_blocking (pipeline));
  append_places (words, "stuck at", dscore_stuck_ends (pipeline));
  append_places (words, "not linked:", dscore_stuck_unlinked (pipeline));
  return g_string_free (words, FALSE);
}

static void
look_for_name (GstElement *element, GPtrArray *names)
{
  add_element (names, element);
}

GPtrArray *
dscore_stuck_names (GstElement *element)
{
  GPtrArray *inside = GST_IS_BIN (element) ? dscore_walk_descendants (GST_BIN (element)) : names_new ();
  GPtrArray *names = look_at (inside, look_for_name);

  add_element (names, element);
  return names;
}
