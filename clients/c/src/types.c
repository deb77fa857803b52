/* What every part of the library names: errors, words for numbers, the snapshot of an agent. */
#include "dscore-types.h"

/**
 * dscore_error_quark:
 *
 * The domain of this library's errors, #DscoreError.
 *
 * Returns: Its quark.
 */
G_DEFINE_QUARK (dscore-error-quark, dscore_error)

G_DEFINE_BOXED_TYPE (DscoreStatus, dscore_status, dscore_status_copy, dscore_status_free)

/**
 * dscore_status_copy:
 * @self: A snapshot.
 *
 * Copies it and its words.
 *
 * Returns: (transfer full): Another one like it.
 */
DscoreStatus *
dscore_status_copy (const DscoreStatus *self)
{
  g_return_val_if_fail (self != NULL, NULL);
  DscoreStatus *copy = g_new (DscoreStatus, 1);
  *copy = *self;
  copy->last_close_reason = g_strdup (self->last_close_reason);
  return copy;
}

/**
 * dscore_status_free:
 * @self: (nullable): A snapshot.
 *
 * Frees it and its words.
 */
void
dscore_status_free (DscoreStatus *self)
{
  if (self == NULL)
    return;
  g_free (self->last_close_reason);
  g_free (self);
}

/**
 * dscore_state_to_string:
 * @state: A state.
 *
 * A state in a word, for logs.
 *
 * Returns: (transfer none): Its name, as the Python agent writes it.
 */
const char *
dscore_state_to_string (DscoreState state)
{
  static const char *const names[] = { "idle", "connecting", "introducing", "ready", "waiting", "terminating", "closed" };
  return (guint) state < G_N_ELEMENTS (names) ? names[state] : "unknown";
}

/**
 * dscore_health_to_string:
 * @health: An answer of the health page.
 *
 * An answer of the health page in a word, for logs.
 *
 * Returns: (transfer none): Its word.
 */
const char *
dscore_health_to_string (DscoreHealth health)
{
  static const char *const names[] = { "unknown", "ok", "shutting_down", "unreachable" };
  return (guint) health < G_N_ELEMENTS (names) ? names[health] : "unknown";
}

/**
 * dscore_close_code_to_string:
 * @code: A close code (PROTOCOL §9), 0 or one of RFC 6455 §7.4.1.
 *
 * A close code in words, for logs.
 *
 * Returns: (transfer none): What it says, in words.
 */
const char *
dscore_close_code_to_string (guint code)
{
  switch (code)
    {
    case 0: return "none";
    case 1000: return "normal closure";
    case 1001: return "going away";
    case 1002: return "protocol error";
    case 1003: return "unsupported data";
    case 1005: return "no code";
    case 1006: return "abnormal closure";
    case 1007: return "invalid text";
    case 1008: return "policy violation";
    case 1009: return "message too big";
    case 1011: return "internal error";
    case 1012: return "service restart";
    case 1013: return "try again later";
    case 4409: return "taken over";
    default: return "unknown";
    }
}
