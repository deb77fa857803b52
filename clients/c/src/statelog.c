/* The block of log_websocket_state. */
#include "statelog.h"

#include "log.h"

G_GNUC_PRINTF (2, 3) static void
log_format (GLogLevelFlags level, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *line = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  dscore_log_line (level, line);
}

void
dscore_state_log (const DscoreStatus *status, GLogLevelFlags level)
{
  dscore_log_line (level, "=== WebSocket State ===");
  log_format (level, "State: %d (%s)", status->state, dscore_state_to_string (status->state));
  log_format (level, "Reconnect attempts: %u", status->reconnect_attempts);
  log_format (level, "Last close code: %u (%s)", status->last_close_code, dscore_close_code_to_string (status->last_close_code));
  log_format (level, "Server shutting down: %s", status->server_shutting_down ? "true" : "false");
  log_format (level, "Last health status: %s", dscore_health_to_string (status->health));
  dscore_log_line (level, "======================");
}
