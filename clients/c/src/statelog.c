/* The block of log_websocket_state. */
#include "statelog.h"

#include "log.h"

static char **
state_lines (const DscoreStatus *status)
{
  char **lines = g_new0 (char *, 8);
  lines[0] = g_strdup ("=== WebSocket State ===");
  lines[1] = g_strdup_printf ("State: %d (%s)", status->state, dscore_state_to_string (status->state));
  lines[2] = g_strdup_printf ("Reconnect attempts: %u", status->reconnect_attempts);
  lines[3] = g_strdup_printf ("Last close code: %u (%s)", status->last_close_code, dscore_close_code_to_string (status->last_close_code));
  lines[4] = g_strdup_printf ("Server shutting down: %s", status->server_shutting_down ? "true" : "false");
  lines[5] = g_strdup_printf ("Last health status: %s", dscore_health_to_string (status->health));
  lines[6] = g_strdup ("======================");
  return lines;
}

void
dscore_state_log (const DscoreStatus *status, GLogLevelFlags level)
{
  g_auto (GStrv) lines = state_lines (status);
  for (char **line = lines; *line != NULL; line++)
    dscore_log_line (level, *line);
}
