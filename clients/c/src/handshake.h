#pragma once

#include "http.h"

G_BEGIN_DECLS

#define DSCORE_KEY_SIZE 24

/* A key for one upgrade (RFC 6455 §4.1): base64 of 16 random bytes. */
void dscore_handshake_key (char key[DSCORE_KEY_SIZE + 1]);

/* The request; `target` and `host` come from a checked URL. */
char *dscore_handshake_request (const char *target, const char *host, const char *key);

/* What Sec-WebSocket-Accept has to be. */
char *dscore_handshake_accept (const char *key);

/* NULL: the head of the answer opens the WebSocket; else why it does not. Free with g_free(). */
char *dscore_handshake_fault (const DscoreHead *head, const char *key);

G_END_DECLS
