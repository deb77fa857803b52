/* The agent's life. */
#include "dscore-agent.h"

struct _DscoreAgent {
  GObject parent_instance;
};

G_DEFINE_TYPE (DscoreAgent, dscore_agent, G_TYPE_OBJECT)

static void
dscore_agent_class_init (DscoreAgentClass *klass)
{
}

static void
dscore_agent_init (DscoreAgent *self)
{
}

DscoreAgent *
dscore_agent_new (DscoreConfig *config)
{
  return 0;
}

void
dscore_agent_set_stop_func (DscoreAgent *self, DscoreStopFunc func, gpointer user_data, GDestroyNotify destroy)
{
}

gboolean
dscore_agent_start (DscoreAgent *self, GError **error)
{
  return 0;
}

gboolean
dscore_agent_send (DscoreAgent *self, JsonObject *message, GError **error)
{
  return 0;
}

gboolean
dscore_agent_send_text (DscoreAgent *self, const char *json, gssize length, GError **error)
{
  return 0;
}

void
dscore_agent_stop (DscoreAgent *self, const char *reason)
{
}

int
dscore_agent_close (DscoreAgent *self, gint64 timeout_us)
{
  return 0;
}

int
dscore_agent_close_with_reason (DscoreAgent *self, gint64 timeout_us, const char *reason)
{
  return 0;
}

void
dscore_agent_watch_signals (DscoreAgent *self)
{
}

DscoreConfig *
dscore_agent_get_config (DscoreAgent *self)
{
  return 0;
}

DscoreState
dscore_agent_get_state (DscoreAgent *self)
{
  return 0;
}

DscoreStatus *
dscore_agent_dup_status (DscoreAgent *self)
{
  return 0;
}

void
dscore_agent_log_state (DscoreAgent *self, GLogLevelFlags level)
{
}
