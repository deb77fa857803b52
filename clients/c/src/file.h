#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bytes; each is many times what there is in practice. Python's agent has the same. */
#define DSCORE_CONFIG_BYTES (256 * 1024)
#define DSCORE_TOKEN_BYTES (64 * 1024)
#define DSCORE_CERTIFICATE_BYTES (8 * 1024 * 1024)

/* The content of a regular file, with a NUL behind it; NULL, with words in `problem` (free it). It waits for no writer, and reads
 * no more than `limit` bytes. */
char *dscore_file_read (const char *path, gsize limit, gsize *size, char **problem);

G_END_DECLS
