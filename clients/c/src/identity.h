#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The host's name and eight digits made of its machine id: the same after a restart, another machine's is another.
 * `hostname` NULL: this one; `machine_ids` NULL: where systemd and D-Bus keep theirs. */
char *dscore_default_instance_id (const char *hostname, const char *const *machine_ids);

G_END_DECLS
