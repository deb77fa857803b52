/* A pipeline from a launch string, kept playing: it is built anew where it ends unasked, if wished. */
#pragma once

#include <dscore-gst.h>

G_BEGIN_DECLS

typedef struct _DscoreKeeper DscoreKeeper;

/* Called once, in the default main context, when the pipeline is over for good and the agent was not told to stop: the exit code,
 * and what became of it, for the server. */
typedef void (*DscoreKeeperOver) (DscoreExit code, const char *cause, gpointer data);

/* Builds the first pipeline. An error: the description makes none. */
DscoreKeeper *dscore_keeper_new (DscoreAgent *agent, const char *launch, GError **error);
/* Plays it, in a thread of its own. The default main context must be turned: some elements leave work to it. */
void          dscore_keeper_start (DscoreKeeper *keeper, DscoreKeeperOver over, gpointer data);
/* Stops the pipeline where the agent is over, and builds no other one; the exit code that its stopping means. */
DscoreExit    dscore_keeper_stop (DscoreKeeper *keeper);
/* Leaves what hangs to itself. */
void          dscore_keeper_unref (DscoreKeeper *keeper);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (DscoreKeeper, dscore_keeper_unref)

G_END_DECLS
