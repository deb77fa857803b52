/* The end of the stream for one source, however little it helps. */
#pragma once

#include "call.h"

#include <gst/gst.h>

G_BEGIN_DECLS

/* Has a source or source bin end its stream after the frame that it is at, in a thread of its own; done when the end has been
 * taken. Microseconds: `patience` without a frame after which a bin that was told, but has not ended, gets no more of it, `limit`
 * the same of a bin whose frames go on. */
DscoreCall *dscore_eos_end_source (GstElement *source, gint64 patience, gint64 limit);

/* The end of the stream into a pad, in a thread of its own. */
DscoreCall *dscore_eos_end_pad (GstPad *pad);

/* Frees whatever waits in a source, or behind it with its data in hand, in a thread of its own; the data is lost. */
DscoreCall *dscore_eos_flush_source (GstElement *source);
/* The same from one pad on. It waits for no lock of a stream. */
DscoreCall *dscore_eos_flush_pad (GstPad *pad);

G_END_DECLS
