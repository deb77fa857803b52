#pragma once

#include <glib-object.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/**
 * DSCORE_API:
 *
 * Marks what the library exports; everything else is hidden.
 */
#define DSCORE_API __attribute__ ((visibility ("default"))) extern

/**
 * DscoreState:
 * @DSCORE_STATE_IDLE: Not started.
 * @DSCORE_STATE_CONNECTING: An attempt is being made.
 * @DSCORE_STATE_INTRODUCING: The WebSocket is open, the server has not acknowledged the agent yet.
 * @DSCORE_STATE_READY: Connected and acknowledged.
 * @DSCORE_STATE_WAITING: Away; the next attempt has its time.
 * @DSCORE_STATE_TERMINATING: The application is being stopped.
 * @DSCORE_STATE_CLOSED: Over.
 *
 * Where an agent is in its life.
 */
typedef enum {
  DSCORE_STATE_IDLE = 0,
  DSCORE_STATE_CONNECTING = 1,
  DSCORE_STATE_INTRODUCING = 2,
  DSCORE_STATE_READY = 3,
  DSCORE_STATE_WAITING = 4,
  DSCORE_STATE_TERMINATING = 5,
  DSCORE_STATE_CLOSED = 6,
} DscoreState;

/**
 * DscoreExit:
 * @DSCORE_EXIT_STOPPED: Told to stop, and everything stopped cleanly and came to its end.
 * @DSCORE_EXIT_FAILED: The pipeline failed, or the agent did.
 * @DSCORE_EXIT_USAGE: A setting is wrong, or something is not installed.
 * @DSCORE_EXIT_FORCED: Told to stop, and the application did not do it cleanly or in time.
 * @DSCORE_EXIT_INCOMPLETE: Told to stop, and it stopped, but a stream did not reach its end.
 * @DSCORE_EXIT_ENDED: A live pipeline came to its end, and was not told to.
 *
 * How an agent ends, as the exit code of a process.
 */
typedef enum {
  DSCORE_EXIT_STOPPED = 0,
  DSCORE_EXIT_FAILED = 1,
  DSCORE_EXIT_USAGE = 2,
  DSCORE_EXIT_FORCED = 3,
  DSCORE_EXIT_INCOMPLETE = 5,
  DSCORE_EXIT_ENDED = 6,
} DscoreExit;

/**
 * DscoreHealth:
 * @DSCORE_HEALTH_UNKNOWN: Not asked yet.
 * @DSCORE_HEALTH_OK: The server takes agents.
 * @DSCORE_HEALTH_SHUTTING_DOWN: The server is in a drain.
 * @DSCORE_HEALTH_UNREACHABLE: No answer in time, or one that makes no sense.
 *
 * What the server's health page last said.
 */
typedef enum {
  DSCORE_HEALTH_UNKNOWN = 0,
  DSCORE_HEALTH_OK,
  DSCORE_HEALTH_SHUTTING_DOWN,
  DSCORE_HEALTH_UNREACHABLE,
} DscoreHealth;

/**
 * DscoreIntent:
 * @DSCORE_INTENT_SERVER: terminate_app: the server, or its operator, wants the application to end.
 * @DSCORE_INTENT_LOCAL: Asked for on this machine: dscore_agent_stop(), a signal.
 *
 * Whose wish a termination is.
 */
typedef enum {
  DSCORE_INTENT_SERVER = 0,
  DSCORE_INTENT_LOCAL = 1,
} DscoreIntent;

/**
 * DscoreError:
 * @DSCORE_ERROR_CONFIG: A setting is wrong; the message names it and where it stands, a line for each problem.
 * @DSCORE_ERROR_TLS: wss is asked for, and GIO has no TLS (glib-networking is not installed).
 * @DSCORE_ERROR_STARTED: An agent starts only once.
 * @DSCORE_ERROR_MESSAGE: No message: not an object with a string "type", or not JSON.
 * @DSCORE_ERROR_TOO_BIG: The message is longer than max_message_size.
 * @DSCORE_ERROR_REFUSED: New work is refused: the server shuts down, or the application is being stopped.
 * @DSCORE_ERROR_CLOSED: The agent is over.
 *
 * Errors of the domain #DSCORE_ERROR.
 */
typedef enum {
  DSCORE_ERROR_CONFIG,
  DSCORE_ERROR_TLS,
  DSCORE_ERROR_STARTED,
  DSCORE_ERROR_MESSAGE,
  DSCORE_ERROR_TOO_BIG,
  DSCORE_ERROR_REFUSED,
  DSCORE_ERROR_CLOSED,
} DscoreError;

#define DSCORE_ERROR (dscore_error_quark ())
DSCORE_API GQuark dscore_error_quark (void);

#define DSCORE_TYPE_STATUS (dscore_status_get_type ())
typedef struct _DscoreStatus DscoreStatus;

/**
 * DscoreStatus:
 * @state: Where the agent is.
 * @reconnect_attempts: Attempts since the last connection that held.
 * @retry_in_us: The wait that was chosen when the agent last began to wait, in microseconds; -1 unless it waits.
 * @last_close_code: Of the last connection that ended; 0: none has, 1006: it was cut.
 * @last_close_reason: Its words.
 * @server_shutting_down: New work is refused.
 * @health: What the health page last said.
 * @session_restored: The server still knew this agent when it came back.
 * @queued: Messages that wait for the connection.
 * @dropped: Messages lost because too many waited.
 *
 * A snapshot. The library alone allocates it, so fields may be added at its end.
 */
struct _DscoreStatus {
  DscoreState state;
  guint reconnect_attempts;
  gint64 retry_in_us;
  guint last_close_code;
  char *last_close_reason;
  gboolean server_shutting_down;
  DscoreHealth health;
  gboolean session_restored;
  guint queued;
  guint64 dropped;
};

DSCORE_API GType dscore_status_get_type (void);
DSCORE_API DscoreStatus *dscore_status_copy (const DscoreStatus *self);
DSCORE_API void dscore_status_free (DscoreStatus *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreStatus, dscore_status_free)

DSCORE_API const char *dscore_state_to_string (DscoreState state);
DSCORE_API const char *dscore_health_to_string (DscoreHealth health);
DSCORE_API const char *dscore_close_code_to_string (guint code);

G_END_DECLS
