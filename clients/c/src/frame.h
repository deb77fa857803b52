#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* RFC 6455 §5.2 */
typedef enum {
  DSCORE_OPCODE_CONTINUATION = 0x0,
  DSCORE_OPCODE_TEXT = 0x1,
  DSCORE_OPCODE_BINARY = 0x2,
  DSCORE_OPCODE_CLOSE = 0x8,
  DSCORE_OPCODE_PING = 0x9,
  DSCORE_OPCODE_PONG = 0xa,
} DscoreOpcode;

#define DSCORE_MAX_HEAD 14
#define DSCORE_MAX_CONTROL 125

/* The head of the frame that is being read. */
typedef struct {
  DscoreOpcode opcode;
  gboolean fin;
  guint64 length;

  guint8 bytes[DSCORE_MAX_HEAD];
  guint8 have; /* of `bytes` */
} DscoreFrameHead;

/* Reads a head from what is there; `used` bytes of it belong to it. TRUE: it is whole, or `fault` says what is wrong. */
gboolean dscore_frame_head_read (DscoreFrameHead *self, const guint8 *data, gsize size, gsize *used, const char **fault);

gboolean dscore_opcode_is_control (DscoreOpcode opcode);

/* Appends one masked frame, as a client has to send it (RFC 6455 §5.3). */
void dscore_frame_write (GByteArray *out, DscoreOpcode opcode, gboolean fin, gconstpointer payload, gsize length,
                         const guint8 mask[4]);

/* Masks, keys and jitter: getrandom, never a clock's seed. */
void dscore_random_fill (gpointer bytes, gsize size);

G_END_DECLS
