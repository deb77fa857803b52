/* An agent without a server, and its binding. See host.h. */
#include "host.h"

Host
host_new (const char *stop_timeout)
{
  /* Port 1 is nothing's: the agent works without a server. */
  const char *settings[] = { "url=ws://127.0.0.1:1/deepstream/ws", "instance_id=c-1", "graceful_shutdown_timeout_sec=6", stop_timeout,
                             NULL };
  const char *environment[] = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreConfig) config = dscore_config_load_full (NULL, settings, environment, &error);
  Host host;

  g_assert_no_error (error);
  host.agent = dscore_agent_new (config);
  host.binding = dscore_gst_binding_new (host.agent);
  dscore_gst_binding_set_force_exit (host.binding, FALSE);
  return host;
}

int
host_stop (Host *host)
{
  g_autoptr (GError) error = NULL;

  dscore_agent_start (host->agent, &error);
  g_assert_no_error (error);
  dscore_agent_stop (host->agent, "test");
  return dscore_agent_close (host->agent, 20 * G_TIME_SPAN_SECOND);
}

void
host_clear (Host *host)
{
  g_object_unref (host->binding);
  g_object_unref (host->agent);
}
