/* libdscore: the agent's end of the dscore wire contract, for programs in C. */
#pragma once

#define DSCORE_INSIDE
#include <dscore-types.h>
#include <dscore-config.h>
#include <dscore-termination.h>
#include <dscore-agent.h>
#undef DSCORE_INSIDE
