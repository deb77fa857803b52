#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One line: an event's stable name, then pairs of a name and a text, ended by NULL: dscore_log (level, "connected", "url", url, NULL). */
void dscore_log (GLogLevelFlags level, const char *event, ...) G_GNUC_NULL_TERMINATED;

/* What a server or an element decides the number of must not fill a disk: lines of one kind, 50 in ten seconds. Zeroed to begin
 * with. */
typedef struct {
  gint64 since;
  guint lines; /* those left out included */
} DscoreLogLimit;

/* FALSE: the line is left out. `left_out`: how many were, since lines were last left out; the caller is to say so. */
gboolean dscore_log_counts (DscoreLogLimit *self, guint *left_out);
void dscore_log_left_out (guint count, const char *reason);
/* Both for lines that the server causes. */
gboolean dscore_log_allows (DscoreLogLimit *self);

/* A line as it is. */
void dscore_log_line (GLogLevelFlags level, const char *line);

G_END_DECLS
