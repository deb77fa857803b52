#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Sends what g_log gets to standard error, a line each: time, level, words. Lines that it has no room for are left out, so that
 * a reader that sleeps stops nothing. `level`: debug, info, warning or error; FALSE: it is none of them. */
gboolean lines_install (const char *level);

G_END_DECLS
