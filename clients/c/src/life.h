#pragma once

#include "core-private.h"

G_BEGIN_DECLS

/* Of the worker: the start of its loop, and after its end. */
void dscore_life_begin (gpointer core);
void dscore_life_end (gpointer core);

/* Sources of the worker; `data` is a core, or what holds one. */
gboolean dscore_life_flush (gpointer core);
gboolean dscore_life_close (gpointer core);
void dscore_life_terminate (DscoreCore *core, const char *request_id, const char *reason);

G_END_DECLS
