#pragma once

#include <dscore-config.h>
#include <dscore-termination.h>
#include <dscore-types.h>

G_BEGIN_DECLS

#define DSCORE_TYPE_AGENT (dscore_agent_get_type ())
/**
 * DscoreAgent:
 *
 * One agent of the fleet: it keeps a connection to the server for as long as the application lives. Every function may be
 * called from any thread; signals come in the context that was thread-default at dscore_agent_new().
 */
DSCORE_API G_DECLARE_FINAL_TYPE (DscoreAgent, dscore_agent, DSCORE, AGENT, GObject)

/**
 * DscoreStopFunc:
 * @agent: The agent.
 * @termination: What is asked; may be kept with g_object_ref().
 * @user_data: What dscore_agent_set_stop_func() was given.
 *
 * Begins to stop the application. It is called in the agent's worker thread, so it comes while the main loop is blocked; it
 * must not block, and has dscore_termination_finish() called, from any thread.
 */
typedef void (*DscoreStopFunc) (DscoreAgent *agent, DscoreTermination *termination, gpointer user_data);

DSCORE_API DscoreAgent *dscore_agent_new (DscoreConfig *config);
DSCORE_API void dscore_agent_set_stop_func (DscoreAgent *self, DscoreStopFunc func, gpointer user_data, GDestroyNotify destroy);
DSCORE_API gboolean dscore_agent_start (DscoreAgent *self, GError **error);
DSCORE_API gboolean dscore_agent_send (DscoreAgent *self, JsonObject *message, GError **error);
DSCORE_API gboolean dscore_agent_send_text (DscoreAgent *self, const char *json, gssize length, GError **error);
DSCORE_API void dscore_agent_stop (DscoreAgent *self, const char *reason);
DSCORE_API int dscore_agent_close (DscoreAgent *self, gint64 timeout_us);
DSCORE_API int dscore_agent_close_with_reason (DscoreAgent *self, gint64 timeout_us, const char *reason);
DSCORE_API void dscore_agent_watch_signals (DscoreAgent *self);
DSCORE_API DscoreConfig *dscore_agent_get_config (DscoreAgent *self);
DSCORE_API DscoreState dscore_agent_get_state (DscoreAgent *self);
DSCORE_API DscoreStatus *dscore_agent_dup_status (DscoreAgent *self);
DSCORE_API void dscore_agent_log_state (DscoreAgent *self, GLogLevelFlags level);

G_END_DECLS
