/* Looks into a pipeline: where it begins, what is in it, what its pads are linked to. Waits for no element, but where said. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Arrays own references. */

/* The elements and bins of the top level in which data begins. */
GPtrArray  *dscore_walk_sources (GstBin *pipeline);
/* All elements on whatever level, without the bins around them. */
GPtrArray  *dscore_walk_leaves (GstBin *pipeline);
/* The same without what is private. */
GPtrArray  *dscore_walk_open_leaves (GstBin *pipeline);
GPtrArray  *dscore_walk_children (GstBin *bin);
GPtrArray  *dscore_walk_descendants (GstBin *bin);
GPtrArray  *dscore_walk_sink_pads (GstElement *element);
GPtrArray  *dscore_walk_src_pads (GstElement *element);
/* All pads through which data comes into an element, on whatever level of bins. */
GPtrArray  *dscore_walk_all_sink_pads (GstBin *pipeline);

gboolean    dscore_walk_is_source (GstElement *element);
gboolean    dscore_walk_is_transport (GstElement *element);
gboolean    dscore_walk_is_private (GstElement *element);
gboolean    dscore_walk_has_way_out (GstElement *element);
gboolean    dscore_walk_has_private_sinks (GstBin *pipeline);
/* Something in it gives its data as time goes by, as a camera does. The query waits for elements. */
gboolean    dscore_walk_has_live_source (GstBin *pipeline);

/* The end of its stream has come to this pad. */
gboolean    dscore_walk_has_ended (GstPad *pad);
gboolean    dscore_walk_have_all_ended (GPtrArray *pads);
/* No thread is on its way through this pad: something could be sent into it without waiting. */
gboolean    dscore_walk_is_free (GstPad *pad);
/* What an element sends waits in an element behind it, in at least one branch. */
gboolean    dscore_walk_is_held_up (GstElement *element);
/* The pad of an element that a pad of another one is linked to, through the pads of bins; NULL: none. */
GstPad     *dscore_walk_linked_pad (GstPad *pad);
/* The element that feeds a pad; NULL: none. */
GstElement *dscore_walk_upstream (GstPad *pad);

/* `element.pad`, for people. */
char       *dscore_walk_pad_name (GstPad *pad);

G_END_DECLS
