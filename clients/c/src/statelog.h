#pragma once

#include "dscore-types.h"

G_BEGIN_DECLS

/* The state of the connection, line for line as the DeepStream contract writes it; NULL-terminated. */
char **dscore_state_lines (const DscoreStatus *status);

G_END_DECLS
