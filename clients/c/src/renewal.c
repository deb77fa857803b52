/* Reading in a thread, with a bound: a disk that hangs leaves the former credentials in force. */
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
  GCancellable *cancellable;
  DscoreAlarm *slow;
};

static void
on_slow (gpointer owner, gint64 gap)
{
  DscoreRenewal *self = owner;
  g_cancellable_cancel (self->cancellable);
}

DscoreRenewal *
dscore_renewal_new (DscoreConfig *config, DscoreCredentials *credentials, GMainContext *context)
{
  DscoreRenewal *self = g_new0 (DscoreRenewal, 1);
  self->refs = 1;
  self->config = g_object_ref (config);
  self->credentials = dscore_credentials_ref (credentials);
  self->cancellable = g_cancellable_new ();
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
  g_object_unref (self->cancellable);
  g_free (self);
}

void
dscore_renewal_free (DscoreRenewal *self)
{
  if (self == NULL)
    return;
  dscore_renewal_cancel (self);
  dscore_alarm_free (self->slow);
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
  self->then = NULL;
  g_cancellable_cancel (self->cancellable);
}

static gboolean
take (DscoreRenewal *self, DscoreCredentials *credentials, const GError *error)
{
  if (credentials == NULL)
    {
      gboolean late = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      dscore_log (G_LOG_LEVEL_WARNING, "credentials_unreadable", "reason", late ? "their files cannot be read in time" : error->message, NULL);
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
  g_autoptr (DscoreCredentials) credentials = dscore_credentials_read_finish (result, &error);
  DscoreRenewed then = self->then;
  /* One that was cancelled may end when the next one runs already. */
  gboolean is_of_now = g_task_get_cancellable (G_TASK (result)) == self->cancellable;
  if (then != NULL && is_of_now)
    {
      self->then = NULL;
      dscore_alarm_cancel (self->slow);
      then (self->owner, take (self, credentials, error));
    }
  unref (self);
}

void
dscore_renewal_run (DscoreRenewal *self, DscoreRenewed then, gpointer owner)
{
  if (self->config->token_file == NULL && !self->config->is_secure)
    {
      then (owner, FALSE); /* nothing of it is in a file */
      return;
    }
  self->refs++;
  self->then = then;
  self->owner = owner;
  g_object_unref (self->cancellable);
  self->cancellable = g_cancellable_new ();
  dscore_alarm_arm (self->slow, READING_US);
  dscore_credentials_read_async (self->config, self->cancellable, on_read, self);
}
