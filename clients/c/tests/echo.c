/* Says back what it hears, for Autobahn's fuzzing server: echo URL, where URL is ws://HOST:PORT. */
#include "socket.h"

#include <stdlib.h>

typedef struct {
  GMainLoop *loop;
  DscoreSocket *socket;
  gboolean is_counting;
  int cases;
} Echo;

static void
on_opened (gpointer owner)
{
}

static void
on_failed (gpointer owner, const char *reason, double retry_after)
{
  g_error ("%s", reason);
}

static void
on_message (gpointer owner, const char *data, gsize size, gboolean is_text)
{
  Echo *self = owner;
  if (self->is_counting)
    self->cases = atoi (data);
  else
    dscore_socket_send (self->socket, data, size, is_text);
}

static void
on_writable (gpointer owner)
{
}

static void
on_ended (gpointer owner, guint code, const char *reason)
{
  Echo *self = owner;
  g_main_loop_quit (self->loop);
}

static void
converse (Echo *self, const char *base, const char *path)
{
  static const DscoreSocketSink sink = { on_opened, on_failed, on_message, on_writable, on_ended };
  static const DscoreMessageLimits limits = { .max_message = 32 * 1024 * 1024, .max_fragments = 200000, .binary = TRUE };
  g_autofree char *url = g_strconcat ("url=", base, path, NULL);
  const char *const settings[] = { url, "max_message_size=100000000", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreConfig) config = dscore_config_load_full (NULL, settings, NULL, &error);
  g_autoptr (DscoreCredentials) credentials = config == NULL ? NULL : dscore_credentials_read (config, &error);
  if (credentials == NULL)
    g_error ("%s", error->message);
  self->socket = dscore_socket_open (config, credentials, &limits, g_main_context_default (), &sink, self);
  g_main_loop_run (self->loop);
  g_clear_pointer (&self->socket, dscore_socket_free);
}

int
main (int argc, char **argv)
{
  Echo self = { .loop = g_main_loop_new (NULL, FALSE), .is_counting = TRUE };
  if (argc != 2)
    return 2;
  converse (&self, argv[1], "/getCaseCount");
  self.is_counting = FALSE;
  for (int i = 1; i <= self.cases; i++)
    {
      g_autofree char *path = g_strdup_printf ("/runCase?case=%d&agent=dscore-c", i);
      converse (&self, argv[1], path);
    }
  converse (&self, argv[1], "/updateReports?agent=dscore-c");
  g_main_loop_unref (self.loop);
  return 0;
}
