#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One line: an event's stable name, then pairs of a name and a text, ended by NULL: dscore_log (level, "connected", "url", url, NULL). */
void dscore_log (GLogLevelFlags level, const char *event, ...) G_GNUC_NULL_TERMINATED;

/* What a server decides the number of must not fill a disk: lines of one kind, 50 in ten seconds. Zeroed to begin with. */
typedef struct {
  gint64 since;
  guint lines; /* those left out included */
} DscoreLogLimit;

/* FALSE: the line is left out. How many were is said with the first one that is not. */
gboolean dscore_log_allows (DscoreLogLimit *self);

/* A line as it is. */
void dscore_log_line (GLogLevelFlags level, const char *line);

G_END_DECLS
