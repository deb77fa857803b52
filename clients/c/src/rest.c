/* Waits as long as the table says (reconnect.c). Refused credentials are looked at meanwhile: with others it comes back soon. */
#include "rest.h"

#include "alarm.h"
#include "log.h"

#define CREDENTIALS_POLL_US (10 * G_USEC_PER_SEC) /* between two looks */

struct _DscoreRest {
  DscoreConfig *config;
  DscoreRenewal *renewal; /* the owner's, and so is the reconnector */
  DscoreReconnector *reconnector;
  DscoreRested rested;
  gpointer owner;
  DscoreAlarm *alarm;
  gint64 due;
  double seconds; /* negative: none is under way */
  gboolean polls;
};

static void
arm (DscoreRest *self)
{
  gint64 left = MAX (self->due - g_get_monotonic_time (), 0);
  dscore_alarm_arm (self->alarm, self->polls ? MIN (left, CREDENTIALS_POLL_US) : left);
}

static void
on_polled (gpointer owner, gboolean differ)
{
  DscoreRest *self = owner;
  if (self->seconds < 0)
    return;
  if (differ)
    {
      dscore_log (G_LOG_LEVEL_INFO, "credentials_renewed", "agent_id", self->config->instance_id, NULL);
      gint64 wait = (gint64) (dscore_reconnector_renewed (self->reconnector) * G_USEC_PER_SEC);
      self->due = MIN (self->due, g_get_monotonic_time () + wait);
    }
  arm (self);
}

static void
on_alarm (gpointer owner, gint64 gap)
{
  DscoreRest *self = owner;
  if (g_get_monotonic_time () < self->due)
    {
      dscore_renewal_run (self->renewal, on_polled, self);
      return;
    }
  self->seconds = -1;
  self->rested (self->owner);
}

DscoreRest *
dscore_rest_new (DscoreConfig *config, GMainContext *context, DscoreRenewal *renewal, DscoreReconnector *reconnector,
                 DscoreRested rested, gpointer owner)
{
  DscoreRest *self = g_new0 (DscoreRest, 1);
  self->config = g_object_ref (config);
  self->renewal = renewal;
  self->reconnector = reconnector;
  self->rested = rested;
  self->owner = owner;
  self->alarm = dscore_alarm_new (context, on_alarm, self);
  self->seconds = -1;
  return self;
}

void
dscore_rest_free (DscoreRest *self)
{
  if (self == NULL)
    return;
  dscore_alarm_free (self->alarm);
  g_object_unref (self->config);
  g_free (self);
}

void
dscore_rest_begin (DscoreRest *self, double seconds, gboolean polls)
{
  self->seconds = seconds;
  self->polls = polls;
  self->due = g_get_monotonic_time () + (gint64) (seconds * G_USEC_PER_SEC);
  arm (self);
}

void
dscore_rest_cancel (DscoreRest *self)
{
  self->seconds = -1;
  dscore_alarm_cancel (self->alarm);
}

double
dscore_rest_seconds (const DscoreRest *self)
{
  return self->seconds;
}
