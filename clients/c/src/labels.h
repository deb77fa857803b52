#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* What the server would leave out of the labels in `app_config` (PROTOCOL §2), each with what it must be. */
GPtrArray *dscore_labels_faults (JsonObject *app_config);

G_END_DECLS
