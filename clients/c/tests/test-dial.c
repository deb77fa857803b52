/* The way to a server whose name is slow, or has a dead address; and an agent that is closed meanwhile. */
#include "dial.h"
#include "dscore-agent.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A resolver that answers with what the test says, or never. */
typedef struct {
  GResolver parent_instance;
} TestResolver;

typedef struct {
  GResolverClass parent_class;
} TestResolverClass;

GType test_resolver_get_type (void);
G_DEFINE_TYPE (TestResolver, test_resolver, G_TYPE_RESOLVER)

static gboolean is_mute;

static void
on_cancelled (GCancellable *cancellable, gpointer task)
{
  g_task_return_error_if_cancelled (task);
}

static void
lookup_async (GResolver *resolver, const char *name, GResolverNameLookupFlags flags, GCancellable *cancellable,
              GAsyncReadyCallback callback, gpointer data)
{
  GTask *task = g_task_new (resolver, cancellable, callback, data);
  if (is_mute)
    {
      g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), task, g_object_unref);
      return;
    }
  if (flags == G_RESOLVER_NAME_LOOKUP_FLAGS_IPV6_ONLY)
    g_task_return_new_error (task, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "none");
  else
    {
      GList *addresses = g_list_append (NULL, g_inet_address_new_from_string ("127.0.0.2"));
      g_task_return_pointer (task, g_list_append (addresses, g_inet_address_new_from_string ("127.0.0.1")), NULL);
    }
  g_object_unref (task);
}

static void
lookup_plain_async (GResolver *resolver, const char *name, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
  lookup_async (resolver, name, G_RESOLVER_NAME_LOOKUP_FLAGS_DEFAULT, cancellable, callback, data);
}

static GList *
lookup_finish (GResolver *resolver, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
test_resolver_class_init (TestResolverClass *klass)
{
  GResolverClass *resolver = G_RESOLVER_CLASS (klass);
  resolver->lookup_by_name_async = lookup_plain_async;
  resolver->lookup_by_name_finish = lookup_finish;
  resolver->lookup_by_name_with_flags_async = lookup_async;
  resolver->lookup_by_name_with_flags_finish = lookup_finish;
}

static void
test_resolver_init (TestResolver *self)
{
}

static int
listen_at (const char *host, guint16 *port, int backlog)
{
  int descriptor = socket (AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons (*port) };
  socklen_t size = sizeof address;
  address.sin_addr.s_addr = strcmp (host, "127.0.0.2") == 0 ? htonl (0x7f000002) : htonl (0x7f000001);
  g_assert_cmpint (bind (descriptor, (struct sockaddr *) &address, size), ==, 0);
  g_assert_cmpint (listen (descriptor, backlog), ==, 0);
  getsockname (descriptor, (struct sockaddr *) &address, &size);
  *port = ntohs (address.sin_port);
  return descriptor;
}

/* A listener whose backlog is full lets a connection hang, as a dead machine does. */
static int
fill (guint16 port, int *clients, int count)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons (port) };
  address.sin_addr.s_addr = htonl (0x7f000002);
  for (int i = 0; i < count; i++)
    {
      clients[i] = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      if (connect (clients[i], (struct sockaddr *) &address, sizeof address) != 0)
        g_usleep (1000);
    }
  return count;
}

static DscoreConfig *
config_of (const char *url)
{
  g_autofree char *setting = g_strconcat ("url=", url, NULL);
  const char *const settings[] = { setting, "health_check_enabled=false", "instance_id=a-1", NULL };
  g_autoptr (GError) error = NULL;
  DscoreConfig *config = dscore_config_load_full (NULL, settings, NULL, &error);
  g_assert_no_error (error);
  return config;
}

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

static void
test_a_dead_first_address_is_passed (void)
{
  guint16 port = 0;
  int clients[4];
  int alive = listen_at ("127.0.0.1", &port, 8), dead = listen_at ("127.0.0.2", &port, 0);
  int count = fill (port, clients, G_N_ELEMENTS (clients));
  g_autofree char *url = g_strdup_printf ("ws://two.test:%u", port);
  g_autoptr (DscoreConfig) config = config_of (url);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  gint64 began = g_get_monotonic_time ();
  is_mute = FALSE;
  dscore_dial_async (config, NULL, on_dialled, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_autoptr (GSocketConnection) connection = dscore_dial_finish (result, &error);
  g_assert_no_error (error);
  /* The kernel would try the dead one for two minutes. */
  g_assert_cmpint (g_get_monotonic_time () - began, <, 60 * G_USEC_PER_SEC);
  for (int i = 0; i < count; i++)
    close (clients[i]);
  close (alive);
  close (dead);
}

/* A look-up that never ends holds up neither a stop nor a close. */
static void
test_a_slow_resolver_holds_nothing_up (void)
{
  for (int ask = 0; ask < 2; ask++)
    {
      g_autoptr (DscoreConfig) config = config_of ("ws://slow.test:1");
      g_autoptr (DscoreAgent) agent = dscore_agent_new (config);
      g_autoptr (GError) error = NULL;
      is_mute = TRUE;
      g_assert_true (dscore_agent_start (agent, &error));
      gint64 began = g_get_monotonic_time ();
      if (ask)
        dscore_agent_stop (agent, "test");
      g_assert_cmpint (dscore_agent_close (agent, -1), ==, DSCORE_EXIT_STOPPED);
      /* An attempt gives up after ten. */
      g_assert_cmpint (g_get_monotonic_time () - began, <, 9 * G_USEC_PER_SEC);
      g_assert_cmpint (dscore_agent_get_state (agent), ==, DSCORE_STATE_CLOSED);
    }
}

static void
test_lives_that_are_never_led (void)
{
  g_autoptr (DscoreConfig) config = config_of ("ws://127.0.0.1:1");
  g_autoptr (GError) error = NULL;
  for (int i = 0; i < 20; i++)
    {
      g_autoptr (DscoreAgent) idle = dscore_agent_new (config);
      g_assert_true (dscore_agent_send_text (idle, "{\"type\":\"work\"}", -1, NULL));
      /* The last reference ends a running one, and nothing is waited for. */
      DscoreAgent *dropped = dscore_agent_new (config);
      g_assert_true (dscore_agent_start (dropped, NULL));
      g_assert_false (dscore_agent_start (dropped, &error));
      g_assert_error (error, DSCORE_ERROR, DSCORE_ERROR_STARTED);
      g_clear_error (&error);
      g_object_unref (dropped);
    }
  g_autoptr (DscoreAgent) closed = dscore_agent_new (config);
  g_assert_cmpint (dscore_agent_close (closed, 0), ==, DSCORE_EXIT_STOPPED);
  g_assert_false (dscore_agent_send_text (closed, "{\"type\":\"work\"}", -1, &error));
  g_assert_error (error, DSCORE_ERROR, DSCORE_ERROR_CLOSED);
  g_assert_false (dscore_agent_start (closed, NULL));
}

static void
test_the_proxy_of_the_environment (void)
{
  static const struct { const char *variables[3]; const char *host; gboolean is_secure; const char *proxy; } cases[] = {
    { { NULL }, "fleet.test", FALSE, NULL },
    { { "http_proxy=http://p:1" }, "fleet.test", FALSE, "http://p:1" },
    { { "http_proxy=http://p:1" }, "fleet.test", TRUE, NULL },
    { { "HTTPS_PROXY=p:2" }, "fleet.test", TRUE, "http://p:2" },
    { { "all_proxy=http://p:3" }, "fleet.test", TRUE, "http://p:3" },
    { { "http_proxy=http://p:1", "no_proxy=.test" }, "fleet.test", FALSE, NULL },
    { { "http_proxy=http://p:1", "no_proxy=a.b, test" }, "fleet.test", FALSE, NULL },
    { { "http_proxy=http://p:1", "no_proxy=est" }, "fleet.test", FALSE, "http://p:1" },
    { { "http_proxy=http://p:1", "no_proxy=*" }, "fleet.test", FALSE, NULL },
    { { "http_proxy=http://p:1" }, "localhost", FALSE, NULL },
    { { "http_proxy=http://p:1" }, "127.0.0.2", FALSE, NULL },
    { { "http_proxy=http://p:1" }, "::1", FALSE, NULL },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *proxy = dscore_proxy_for (cases[i].host, cases[i].is_secure, NULL, cases[i].variables);
      g_autofree char *none = dscore_proxy_for (cases[i].host, cases[i].is_secure, "none", cases[i].variables);
      g_autofree char *own = dscore_proxy_for (cases[i].host, cases[i].is_secure, "http://own:1", cases[i].variables);
      g_assert_cmpstr (proxy, ==, cases[i].proxy);
      g_assert_null (none);
      g_assert_cmpstr (own, ==, "http://own:1");
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  g_autoptr (GResolver) resolver = g_object_new (test_resolver_get_type (), NULL);
  g_resolver_set_default (resolver);
  g_test_add_func ("/dial/dead_first_address", test_a_dead_first_address_is_passed);
  g_test_add_func ("/dial/slow_resolver", test_a_slow_resolver_holds_nothing_up);
  g_test_add_func ("/dial/never_led", test_lives_that_are_never_led);
  g_test_add_func ("/dial/proxy_of_the_environment", test_the_proxy_of_the_environment);
  return g_test_run ();
}
