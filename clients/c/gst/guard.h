/* The exit that nothing holds up: no loop, no log, no lock, no pipe that is full. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _DscoreGuard DscoreGuard;

/* Ends the process at a moment of g_get_monotonic_time(), unless disarmed before. */
DscoreGuard *dscore_guard_arm (gint64 moment);
/* The process ends by itself. Frees the guard. */
void         dscore_guard_disarm (DscoreGuard *guard);
/* It stays armed for the rest of the process's life. */
void         dscore_guard_leave_armed (DscoreGuard *guard);

G_END_DECLS
