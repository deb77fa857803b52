/* An agent without a server, and its binding, as a program has them. */
#pragma once

#include "dscore-gst.h"

G_BEGIN_DECLS

typedef struct {
  DscoreAgent *agent;
  DscoreGstBinding *binding;
} Host;

/* `stop_timeout`: a setting. */
Host host_new (const char *stop_timeout);
/* What the agent ends with once it is told to stop. */
int  host_stop (Host *host);
void host_clear (Host *host);

G_END_DECLS
