#pragma once

#include "dscore-types.h"

G_BEGIN_DECLS

/* Finds three fields of a health document (PROTOCOL §8) as it comes; 18,000 names in it need no memory. Zero at its start. */
typedef struct {
  guint depth;
  gboolean begun, broken;
  gboolean in_string, escaped, is_key;
  char word[32];     /* the string or literal that is being read, if it is short */
  guint8 size;
  gboolean too_long;
  guint8 field; /* the key whose value comes, at depth 1 or 2 */
  guint8 inside; /* the key whose object is open at depth 1 */
  DscoreHealth status;
  gboolean closing;
  int is_connected; /* -1: not said */
} DscoreHealthScan;

void dscore_health_scan_init (DscoreHealthScan *self);
void dscore_health_scan_feed (DscoreHealthScan *self, const char *data, gsize size);

/* What the document says once all of it has come. */
DscoreHealth dscore_health_scan_judge (const DscoreHealthScan *self);

G_END_DECLS
