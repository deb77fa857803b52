#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where the agent is between being away and being connected. */
typedef enum {
  DSCORE_PHASE_IDLE,
  DSCORE_PHASE_WAITING,
  DSCORE_PHASE_ATTEMPTING,
  DSCORE_PHASE_CONNECTED,
  DSCORE_PHASE_STOPPED,
} DscorePhase;

/* The rows of the table of waits (PROTOCOL §7). */
typedef enum {
  DSCORE_ROW_GOING_AWAY,
  DSCORE_ROW_SHUTTING_DOWN,
  DSCORE_ROW_TAKEN_OVER,
  DSCORE_ROW_UNAUTHENTICATED,
  DSCORE_ROW_FINAL,
  DSCORE_ROW_OTHER,
} DscoreRow;

/* Seconds; a hint beyond it is taken for this much, so that no server can send an agent away for good. */
#define DSCORE_HINT_LIMIT 3600.0
#define DSCORE_NO_HINT (-1.0)
#define DSCORE_STAY_AWAY (-1.0)

/* The numbers of the table, in seconds. */
typedef struct {
  double restart_delay;
  double shutdown_delay;
  double shutdown_step;
  double base;
  double cap;
  double identity_delay;
  double identity_cap;
  gboolean exponential;
  gboolean jitter;
  double stable_after;
} DscoreReconnectPolicy;

extern const DscoreReconnectPolicy dscore_reconnect_defaults;

typedef double (*DscoreDraw) (gpointer data);

/* The machine of one agent; any clock in seconds that only goes forward. */
typedef struct {
  const DscoreReconnectPolicy *policy;
  DscoreDraw draw; /* gives numbers in [0, 1) */
  gpointer draw_data;
  DscorePhase phase;
  gint64 attempt; /* the number of the attempt that runs or comes next; -1: the first connection of all */
  double opened_at;
  double hint;
} DscoreReconnector;

DscoreRow dscore_row_of (guint code, const char *reason);
double dscore_reconnect_delay (const DscoreReconnectPolicy *policy, DscoreRow row, gint64 n, DscoreDraw draw, gpointer data);

void dscore_reconnector_init (DscoreReconnector *self, const DscoreReconnectPolicy *policy, DscoreDraw draw, gpointer data);
gint64 dscore_reconnector_attempts (const DscoreReconnector *self);
void dscore_reconnector_begin (DscoreReconnector *self);
void dscore_reconnector_due (DscoreReconnector *self);
double dscore_reconnector_renewed (DscoreReconnector *self);
double dscore_reconnector_refused (DscoreReconnector *self, DscoreRow row, double retry_after);
void dscore_reconnector_opened (DscoreReconnector *self, double now);
void dscore_reconnector_hinted (DscoreReconnector *self, double seconds);
double dscore_reconnector_closed (DscoreReconnector *self, guint code, const char *reason, double now);

/* [0, 1) of the system's randomness, for all but tests. */
double dscore_draw (gpointer data);

G_END_DECLS
