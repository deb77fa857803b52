/* One timer, armed again and again: a GSource that has nothing but a ready time.
 *
 * A process that was stopped finds all its timers due at once, and they run before the sockets are read: what was taken for
 * silence lies in them unread. */
#include "alarm.h"

#define GAP_US G_USEC_PER_SEC

struct _DscoreAlarm {
  GSource *source;
  gint64 due;
  DscoreAlarmFunc fire;
  gpointer owner;
};

typedef struct {
  GSource parent;
  DscoreAlarm *alarm;
} AlarmSource;

static gboolean
dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  DscoreAlarm *self = ((AlarmSource *) source)->alarm;
  gint64 late = g_get_monotonic_time () - self->due;
  g_source_set_ready_time (source, -1);
  self->fire (self->owner, late >= GAP_US ? late : 0); /* may free the alarm */
  return G_SOURCE_CONTINUE;
}

DscoreAlarm *
dscore_alarm_new (GMainContext *context, DscoreAlarmFunc fire, gpointer owner)
{
  static GSourceFuncs functions = { .dispatch = dispatch };
  DscoreAlarm *self = g_new0 (DscoreAlarm, 1);
  self->fire = fire;
  self->owner = owner;
  self->source = g_source_new (&functions, sizeof (AlarmSource));
  ((AlarmSource *) self->source)->alarm = self;
  g_source_set_name (self->source, "dscore alarm");
  g_source_attach (self->source, context);
  return self;
}

void
dscore_alarm_free (DscoreAlarm *self)
{
  if (self == NULL)
    return;
  g_source_destroy (self->source);
  g_source_unref (self->source);
  g_free (self);
}

void
dscore_alarm_arm (DscoreAlarm *self, gint64 after_us)
{
  self->due = g_get_monotonic_time () + after_us;
  g_source_set_ready_time (self->source, self->due);
}

void
dscore_alarm_cancel (DscoreAlarm *self)
{
  g_source_set_ready_time (self->source, -1);
}

gboolean
dscore_alarm_is_near (const DscoreAlarm *self, gint64 within_us)
{
  gint64 ready = g_source_get_ready_time (self->source);
  return ready >= 0 && ready - g_get_monotonic_time () <= within_us;
}
