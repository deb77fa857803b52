/* Readings of the credentials that overlap, or hang. */
#include "renewal.h"

#include <glib/gstdio.h>
#include <unistd.h>

typedef struct {
  guint calls;
  gboolean differ;
} Told;

static void
on_renewed (gpointer owner, gboolean differ)
{
  Told *told = owner;
  told->calls++;
  told->differ = differ;
}

static char *
token_file (void)
{
  g_autoptr (GError) error = NULL;
  char *path = NULL;
  int descriptor = g_file_open_tmp ("dscore-XXXXXX.token", &path, &error);
  g_assert_no_error (error);
  close (descriptor);
  return path;
}

static void
write_token (const char *path, const char *token)
{
  g_autoptr (GError) error = NULL;
  g_file_set_contents (path, token, -1, &error);
  g_assert_no_error (error);
}

/* Of a token that is "one" so far. */
static DscoreRenewal *
renewal_of (const char *path)
{
  g_autofree char *setting = g_strconcat ("token_file=", path, NULL);
  const char *const settings[] = { setting, NULL };
  g_autoptr (GError) error = NULL;
  write_token (path, "one");
  g_autoptr (DscoreConfig) config = dscore_config_load_full (NULL, settings, NULL, &error);
  g_assert_no_error (error);
  g_autoptr (DscoreCredentials) credentials = dscore_credentials_read (config, &error);
  g_assert_no_error (error);
  return dscore_renewal_new (config, credentials, NULL);
}

/* The end of one that was cancelled was taken for that of the next: "cannot be read in time", and the new token was dropped. */
static void
test_one_that_was_cancelled_tells_the_next_nothing (void)
{
  g_autofree char *path = token_file ();
  DscoreRenewal *renewal = renewal_of (path);
  Told former = { 0 }, told = { 0 };
  write_token (path, "two");
  dscore_renewal_run (renewal, on_renewed, &former);
  dscore_renewal_cancel (renewal);
  dscore_renewal_run (renewal, on_renewed, &told);
  while (told.calls == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (told.differ);
  g_assert_cmpstr (dscore_renewal_credentials (renewal)->token, ==, "two");
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (told.calls, ==, 1);
  g_assert_cmpuint (former.calls, ==, 0);
  dscore_renewal_free (renewal);
  g_unlink (path);
}

/* The linker puts these between a renewal and its readings: --wrap. */
DscoreCredentials *__real_dscore_credentials_read (DscoreConfig *config, GError **error);
DscoreCredentials *__wrap_dscore_credentials_read (DscoreConfig *config, GError **error);

static struct {
  GMutex lock;
  GCond changed;
  gboolean hangs;
  guint readings;
} disk;

DscoreCredentials *
__wrap_dscore_credentials_read (DscoreConfig *config, GError **error)
{
  g_mutex_lock (&disk.lock);
  disk.readings++;
  while (disk.hangs)
    g_cond_wait (&disk.changed, &disk.lock);
  g_mutex_unlock (&disk.lock);
  return __real_dscore_credentials_read (config, error);
}

static guint
set_disk (gboolean hangs)
{
  g_mutex_lock (&disk.lock);
  guint readings = disk.readings;
  disk.hangs = hangs;
  disk.readings = 0;
  g_cond_broadcast (&disk.changed);
  g_mutex_unlock (&disk.lock);
  return readings;
}

/* Each attempt had a thread more that hung, until none was left to look up the server's name. */
static void
test_one_that_hangs_holds_one_thread (void)
{
  g_autofree char *path = token_file ();
  DscoreRenewal *renewal = renewal_of (path);
  Told told = { 0 };
  set_disk (TRUE);
  for (guint i = 0; i < 20; i++)
    {
      dscore_renewal_run (renewal, on_renewed, &told);
      dscore_renewal_cancel (renewal);
    }
  /* The disk is back: the reading that was late is that of this attempt, too. */
  write_token (path, "two");
  dscore_renewal_run (renewal, on_renewed, &told);
  set_disk (FALSE);
  while (told.calls == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (told.differ);
  dscore_renewal_run (renewal, on_renewed, &told);
  while (told.calls == 1)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (told.differ);
  /* One before, or after, the disk was back; and one more. */
  g_assert_cmpuint (set_disk (FALSE), <=, 2);
  dscore_renewal_free (renewal);
  g_unlink (path);
}

/* An end waits for no thread, and what comes after it finds nothing to tell. */
static void
test_one_that_hangs_at_the_end_holds_nothing_up (void)
{
  g_autofree char *path = token_file ();
  DscoreRenewal *renewal = renewal_of (path);
  Told told = { 0 };
  set_disk (TRUE);
  dscore_renewal_run (renewal, on_renewed, &told);
  dscore_renewal_free (renewal);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  set_disk (FALSE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (told.calls, ==, 0);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/renewal/one_that_was_cancelled_tells_the_next_nothing", test_one_that_was_cancelled_tells_the_next_nothing);
  g_test_add_func ("/renewal/one_that_hangs_holds_one_thread", test_one_that_hangs_holds_one_thread);
  g_test_add_func ("/renewal/one_that_hangs_at_the_end_holds_nothing_up", test_one_that_hangs_at_the_end_holds_nothing_up);
  return g_test_run ();
}
