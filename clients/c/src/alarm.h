#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A timer that says how late it was: silence counts only while this process looked. Of one thread, that of its context. */
typedef struct _DscoreAlarm DscoreAlarm;

/* `gap`: microseconds that the process did not look (SIGSTOP, a paused container), 0 for a machine that is merely busy. */
typedef void (*DscoreAlarmFunc) (gpointer owner, gint64 gap);

DscoreAlarm *dscore_alarm_new (GMainContext *context, DscoreAlarmFunc fire, gpointer owner);
void dscore_alarm_free (DscoreAlarm *self);
/* Fires after so long, and not at the time that was set before. */
void dscore_alarm_arm (DscoreAlarm *self, gint64 after_us);
void dscore_alarm_cancel (DscoreAlarm *self);
/* It is armed, and fires within so long. */
gboolean dscore_alarm_is_near (const DscoreAlarm *self, gint64 within_us);

G_END_DECLS
