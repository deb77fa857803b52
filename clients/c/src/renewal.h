#pragma once

#include "credentials.h"

G_BEGIN_DECLS

/* The credentials in force, read anew when asked. Of the thread of its context. */
typedef struct _DscoreRenewal DscoreRenewal;

/* `differ`: they are others than before. */
typedef void (*DscoreRenewed) (gpointer owner, gboolean differ);

DscoreRenewal *dscore_renewal_new (DscoreConfig *config, DscoreCredentials *credentials, GMainContext *context);
void dscore_renewal_free (DscoreRenewal *self);
DscoreCredentials *dscore_renewal_credentials (DscoreRenewal *self);
/* Reads them; what cannot be read leaves the former ones in force, with a warning. One at a time; a reading that is late
 * already is waited for again. */
void dscore_renewal_run (DscoreRenewal *self, DscoreRenewed then, gpointer owner);
/* What still runs tells of nothing any more. */
void dscore_renewal_cancel (DscoreRenewal *self);

G_END_DECLS
