/* Tracks that never had data, in files whose format has no room for such. */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Has the end of a track that never had data come with a description of it. */
void dscore_tracks_complete_mute (GstBin *pipeline);

G_END_DECLS
