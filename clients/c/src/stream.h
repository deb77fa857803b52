#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Bytes to and from a GIO stream that does not block, plain or TLS. */
typedef struct _DscoreStream DscoreStream;

/* Calls come from the context's loop; the stream may be freed in any of them. */
typedef struct {
  void (*data) (gpointer owner, const guint8 *data, gsize size);
  void (*drained) (gpointer owner);                 /* some of what was queued has gone */
  void (*over) (gpointer owner, const char *error); /* NULL: the other side has closed */
} DscoreStreamSink;

DscoreStream *dscore_stream_new (GIOStream *stream, GMainContext *context, const DscoreStreamSink *sink, gpointer owner);
void dscore_stream_free (DscoreStream *self);
/* What is to be sent is appended here; dscore_stream_flush() comes next. */
GByteArray *dscore_stream_output (DscoreStream *self);
void dscore_stream_flush (DscoreStream *self);
gsize dscore_stream_queued (const DscoreStream *self);

G_END_DECLS
