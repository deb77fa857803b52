#pragma once

#include "dscore-types.h"

G_BEGIN_DECLS

/* Writes the state of the connection to the log, line for line as the DeepStream contract has it. */
void dscore_state_log (const DscoreStatus *status, GLogLevelFlags level);

G_END_DECLS
