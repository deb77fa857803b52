/* When to come back: the waits of PROTOCOL §7. No clock, no socket.
 *
 *     IDLE        begin       ATTEMPTING  at once
 *     WAITING     due         ATTEMPTING
 *     WAITING     renewed     WAITING     the credentials differ from those that were refused
 *     ATTEMPTING  refused     WAITING     no connection came of it; n grows by one
 *     ATTEMPTING  opened      CONNECTED   the WebSocket is open
 *     CONNECTED   hinted      CONNECTED   the server said when to come back
 *     CONNECTED   closed      WAITING     n is 0 if the connection lived long enough, else one more
 *     CONNECTED   closed      STOPPED     with a code that means: stay away
 *
 * Everything else is an error in the caller. n numbers the attempts from 0; the first connection of all is not one of them. */
#include "reconnect.h"

#include "frame.h"

#include <string.h>

const DscoreReconnectPolicy dscore_reconnect_defaults = {
  .restart_delay = 5.0,
  .shutdown_delay = 10.0,
  .shutdown_step = 5.0,
  .base = 1.0,
  .cap = 60.0,
  .identity_delay = 300.0,
  .identity_cap = 3600.0,
  .exponential = TRUE,
  .jitter = TRUE,
  .stable_after = 10.0,
};

double
dscore_draw (gpointer data)
{
  guint64 bits;
  dscore_random_fill (&bits, sizeof bits);
  return (double) (bits >> 11) / 9007199254740992.0; /* 2^53: what a double holds */
}

DscoreRow
dscore_row_of (guint code, const char *reason)
{
  switch (code)
    {
    case 1000:
      return strcmp (reason, "Client terminated") == 0 ? DSCORE_ROW_FINAL : DSCORE_ROW_OTHER;
    case 1001:
      return DSCORE_ROW_GOING_AWAY;
    case 1008:
      return strcmp (reason, "authentication failed") == 0 ? DSCORE_ROW_UNAUTHENTICATED : DSCORE_ROW_OTHER;
    case 1013:
      return DSCORE_ROW_SHUTTING_DOWN;
    case 4409:
      return DSCORE_ROW_TAKEN_OVER;
    default:
      return DSCORE_ROW_OTHER;
    }
}

static double
doubled (double first, gint64 n, double cap)
{
  /* Bounded before it is used: a server may be away for days. */
  return MIN (first * (double) (G_GUINT64_CONSTANT (1) << MIN (n, 60)), cap);
}

double
dscore_reconnect_delay (const DscoreReconnectPolicy *policy, DscoreRow row, gint64 n, DscoreDraw draw, gpointer data)
{
  double least = 0.0, most;
  if (!policy->exponential)
    n = 0;
  switch (row)
    {
    case DSCORE_ROW_SHUTTING_DOWN:
      most = MIN (policy->shutdown_delay + (double) n * policy->shutdown_step, policy->cap);
      least = MIN (policy->shutdown_delay, most);
      break;
    case DSCORE_ROW_TAKEN_OVER:
    case DSCORE_ROW_UNAUTHENTICATED:
      most = doubled (policy->identity_delay, n, policy->identity_cap);
      break;
    case DSCORE_ROW_GOING_AWAY:
      least = policy->restart_delay;
      most = MAX (least, doubled (policy->base, n, policy->cap));
      break;
    case DSCORE_ROW_FINAL:
    case DSCORE_ROW_OTHER:
    default:
      most = doubled (policy->base, n, policy->cap);
      break;
    }
  return policy->jitter ? least + (most - least) * draw (data) : most;
}

void
dscore_reconnector_init (DscoreReconnector *self, const DscoreReconnectPolicy *policy, DscoreDraw draw, gpointer data)
{
  *self = (DscoreReconnector){
    .policy = policy, .draw = draw, .draw_data = data, .phase = DSCORE_PHASE_IDLE, .attempt = -1, .hint = DSCORE_NO_HINT
  };
}

/* Attempts made since the last connection that held. */
gint64
dscore_reconnector_attempts (const DscoreReconnector *self)
{
  if (self->phase == DSCORE_PHASE_ATTEMPTING || self->phase == DSCORE_PHASE_CONNECTED)
    return self->attempt + 1;
  return MAX (self->attempt, 0);
}

static void
pass (DscoreReconnector *self, DscorePhase expected, DscorePhase following)
{
  if (self->phase != expected)
    g_critical ("reconnect: phase %d, not %d", self->phase, expected);
  self->phase = following;
}

static double
bounded (const DscoreReconnector *self, double seconds)
{
  /* Less than the first wait of the table is not done: a hint of 0 would have the whole fleet back without a pause. */
  return MIN (MAX (seconds, self->policy->base), DSCORE_HINT_LIMIT);
}

static double
delay (DscoreReconnector *self, DscoreRow row)
{
  return dscore_reconnect_delay (self->policy, row, self->attempt, self->draw, self->draw_data);
}

void
dscore_reconnector_begin (DscoreReconnector *self)
{
  pass (self, DSCORE_PHASE_IDLE, DSCORE_PHASE_ATTEMPTING);
}

void
dscore_reconnector_due (DscoreReconnector *self)
{
  pass (self, DSCORE_PHASE_WAITING, DSCORE_PHASE_ATTEMPTING);
}

/* The credentials that the server refused have been replaced: seconds to wait from now. */
double
dscore_reconnector_renewed (DscoreReconnector *self)
{
  pass (self, DSCORE_PHASE_WAITING, DSCORE_PHASE_WAITING);
  return delay (self, DSCORE_ROW_OTHER);
}

/* `retry_after`: seconds of a Retry-After, which wins over the table, or DSCORE_NO_HINT. */
double
dscore_reconnector_refused (DscoreReconnector *self, DscoreRow row, double retry_after)
{
  pass (self, DSCORE_PHASE_ATTEMPTING, DSCORE_PHASE_WAITING);
  self->attempt++;
  return retry_after >= 0 ? bounded (self, retry_after) : delay (self, row);
}

void
dscore_reconnector_opened (DscoreReconnector *self, double now)
{
  pass (self, DSCORE_PHASE_ATTEMPTING, DSCORE_PHASE_CONNECTED);
  self->opened_at = now;
}

void
dscore_reconnector_hinted (DscoreReconnector *self, double seconds)
{
  pass (self, DSCORE_PHASE_CONNECTED, DSCORE_PHASE_CONNECTED);
  self->hint = bounded (self, seconds);
}

/* Seconds to wait before the next attempt, or DSCORE_STAY_AWAY. */
double
dscore_reconnector_closed (DscoreReconnector *self, guint code, const char *reason, double now)
{
  DscoreRow row = dscore_row_of (code, reason);
  double hint = self->hint;
  self->hint = DSCORE_NO_HINT;
  if (row == DSCORE_ROW_FINAL)
    {
      pass (self, DSCORE_PHASE_CONNECTED, DSCORE_PHASE_STOPPED);
      return DSCORE_STAY_AWAY;
    }
  pass (self, DSCORE_PHASE_CONNECTED, DSCORE_PHASE_WAITING);
  self->attempt = now - self->opened_at >= self->policy->stable_after ? 0 : self->attempt + 1;
  return hint >= 0 ? hint : delay (self, row);
}
