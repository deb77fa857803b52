/* The health watch. */
#include "watch.h"

#include "alarm.h"

struct _DscoreWatch {
  guint refs; /* the owner's, and that of a look */
  DscoreConfig *config;
  DscoreRenewal *renewal; /* the owner's */
  const DscoreWatchSink *sink;
  gpointer owner;
  DscoreAlarm *alarm;
  gint64 due; /* of the next look */
  GCancellable *cancellable; /* NULL: not started */
};

static void
unref (DscoreWatch *self)
{
  if (--self->refs > 0)
    return;
  g_object_unref (self->config);
  g_free (self);
}

typedef struct {
  DscoreWatch *watch;
  GCancellable *cancellable; /* of the connection that it was begun on */
} Look;

static void
on_looked (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autofree Look *one = data;
  DscoreWatch *self = one->watch;
  g_autoptr (DscoreLook) look = dscore_health_look_finish (result);
  if (look != NULL && self->cancellable == one->cancellable)
    {
      gint64 left = self->due - g_get_monotonic_time ();
      /* A server that took longer than that is not asked again at once. */
      dscore_alarm_arm (self->alarm, left > 0 ? left : self->config->health_check_interval);
      self->sink->looked (self->owner, look);
    }
  g_object_unref (one->cancellable);
  unref (self);
}

static void
on_due (gpointer owner, gint64 gap)
{
  DscoreWatch *self = owner;
  Look *one = g_new (Look, 1);
  one->watch = self;
  one->cancellable = g_object_ref (self->cancellable);
  self->refs++;
  self->due = g_get_monotonic_time () + self->config->health_check_interval;
  self->sink->looks (self->owner);
  dscore_health_look_async (self->config, dscore_renewal_credentials (self->renewal), NULL, self->cancellable, on_looked, one);
}

DscoreWatch *
dscore_watch_new (DscoreConfig *config, GMainContext *context, DscoreRenewal *renewal, const DscoreWatchSink *sink, gpointer owner)
{
  DscoreWatch *self = g_new0 (DscoreWatch, 1);
  self->refs = 1;
  self->config = g_object_ref (config);
  self->renewal = renewal;
  self->sink = sink;
  self->owner = owner;
  self->alarm = dscore_alarm_new (context, on_due, self);
  return self;
}

void
dscore_watch_free (DscoreWatch *self)
{
  if (self == NULL)
    return;
  dscore_watch_stop (self);
  dscore_alarm_free (self->alarm);
  unref (self);
}

void
dscore_watch_start (DscoreWatch *self)
{
  if (!self->config->health_check_enabled)
    return;
  dscore_watch_stop (self);
  self->cancellable = g_cancellable_new ();
  /* A fleet that connected together must not ask together. */
  dscore_alarm_arm (self->alarm, (gint64) ((double) self->config->health_check_interval * dscore_draw (NULL)));
}

void
dscore_watch_stop (DscoreWatch *self)
{
  dscore_alarm_cancel (self->alarm);
  if (self->cancellable == NULL)
    return;
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
}
