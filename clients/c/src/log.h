#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One line: an event's stable name, then pairs of a name and a text, ended by NULL: dscore_log (level, "connected", "url", url, NULL). */
void dscore_log (GLogLevelFlags level, const char *event, ...) G_GNUC_NULL_TERMINATED;

/* A line as it is. */
void dscore_log_line (GLogLevelFlags level, const char *line);

G_END_DECLS
