/* Reading in a thread, with a bound: a disk that hangs leaves the former credentials in force, and holds one thread.
 *
 * A reading that is late is waited for again by the next attempt: GIO's resolver has the same few threads, and one more that hangs
 * with each attempt would take them all. */
#include "renewal.h"

#include "alarm.h"
#include "log.h"

#define READING_US (5 * G_USEC_PER_SEC)

struct _DscoreRenewal {
  guint refs; /* the owner's, and that of a reading */
  DscoreConfig *config;
  DscoreCredentials *credentials;
  DscoreRenewed then; /* NULL: none waits */
  gpointer owner;     /* of `then` */
  gboolean is_reading;
  GCancellable *end; /* of the renewal: no thread is waited for then */
  DscoreAlarm *slow;
};

static void
say_unreadable (const char *reason)
{
  dscore_log (G_LOG_LEVEL_WARNING, "credentials_unreadable", "reason", reason, NULL);
}

/* What was waited for; NULL: nothing is. */
static DscoreRenewed
wait_no_more (DscoreRenewal *self)
{
  DscoreRenewed then = self->then;
  self->then = NULL;
  dscore_alarm_cancel (self->slow);
  return then;
}

static void
on_slow (gpointer owner, gint64 gap)
{
  DscoreRenewal *self = owner;
  say_unreadable ("their files cannot be read in time");
  wait_no_more (self) (self->owner, FALSE);
}

DscoreRenewal *
dscore_renewal_new (DscoreConfig *config, DscoreCredentials *credentials, GMainContext *context)
{
  DscoreRenewal *self = g_new0 (DscoreRenewal, 1);
  self->refs = 1;
  self->config = g_object_ref (config);
  self->credentials = dscore_credentials_ref (credentials);
  self->end = g_cancellable_new ();
  self->slow = dscore_alarm_new (context, on_slow, self);
  return self;
}

static void
unref (DscoreRenewal *self)
{
  if (--self->refs > 0)
    return;
  g_object_unref (self->config);
  dscore_credentials_unref (self->credentials);
  g_object_unref (self->end);
  g_free (self);
}

void
dscore_renewal_free (DscoreRenewal *self)
{
  if (self == NULL)
    return;
  dscore_renewal_cancel (self);
  g_cancellable_cancel (self->end);
  g_clear_pointer (&self->slow, dscore_alarm_free);
  unref (self);
}

DscoreCredentials *
dscore_renewal_credentials (DscoreRenewal *self)
{
  return self->credentials;
}

void
dscore_renewal_cancel (DscoreRenewal *self)
{
  wait_no_more (self);
}

static gboolean
take (DscoreRenewal *self, DscoreCredentials *credentials, const GError *error)
{
  if (credentials == NULL)
    {
      say_unreadable (error->message);
      return FALSE;
    }
  gboolean differ = g_strcmp0 (credentials->digest, self->credentials->digest) != 0;
  dscore_credentials_unref (self->credentials);
  self->credentials = dscore_credentials_ref (credentials);
  return differ;
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer data)
{
  DscoreRenewal *self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (DscoreCredentials) credentials = g_task_propagate_pointer (G_TASK (result), &error);
  self->is_reading = FALSE;
  /* What comes too late for one attempt is read anew for the next. */
  if (self->then != NULL)
    wait_no_more (self) (self->owner, take (self, credentials, error));
  unref (self);
}

static void
read_in_thread (GTask *task, gpointer source, gpointer config, GCancellable *cancellable)
{
  GError *error = NULL;
  DscoreCredentials *read = dscore_credentials_read (config, &error);
  if (read == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, read, (GDestroyNotify) dscore_credentials_unref);
}

static void
read_aside (DscoreRenewal *self)
{
  g_autoptr (GTask) task = g_task_new (NULL, self->end, on_read, self);
  self->refs++;
  self->is_reading = TRUE;
  g_task_set_task_data (task, g_object_ref (self->config), g_object_unref);
  g_task_set_return_on_cancel (task, TRUE);
  g_task_run_in_thread (task, read_in_thread);
}

void
dscore_renewal_run (DscoreRenewal *self, DscoreRenewed then, gpointer owner)
{
  if (self->config->token_file == NULL && !self->config->is_secure)
    {
      then (owner, FALSE); /* nothing of it is in a file */
      return;
    }
  self->then = then;
  self->owner = owner;
  dscore_alarm_arm (self->slow, READING_US);
  if (!self->is_reading)
    read_aside (self);
}
