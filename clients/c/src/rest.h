#pragma once

#include "renewal.h"
#include "reconnect.h"

G_BEGIN_DECLS

/* The wait before an attempt. Of the thread of its context. */
typedef struct _DscoreRest DscoreRest;

typedef void (*DscoreRested) (gpointer owner);

DscoreRest *dscore_rest_new (DscoreConfig *config, GMainContext *context, DscoreRenewal *renewal, DscoreReconnector *reconnector,
                             DscoreRested rested, gpointer owner);
void dscore_rest_free (DscoreRest *self);
/* `polls`: the server refused the credentials, so others on the disk make it shorter. */
void dscore_rest_begin (DscoreRest *self, double seconds, gboolean polls);
void dscore_rest_cancel (DscoreRest *self);
/* Of which it began with; negative: none is under way. */
double dscore_rest_seconds (const DscoreRest *self);

G_END_DECLS
