/* Tells the server what happens in the pipelines, within measure.
 *
 * An element in trouble may warn a thousand times a second; the connection has more to carry. */
#include "report.h"

#include "log.h"

#define EVENTS_PER_SECOND 10

struct _DscoreReporter {
  char **kinds; /* NULL: none */
  DscoreReportFunc send;
  gpointer data;
  GDestroyNotify destroy;

  GMutex lock;
  gint64 second;
  guint sent;
  guint kept_back;
};

DscoreReporter *
dscore_reporter_new (const char *const *kinds, DscoreReportFunc send, gpointer data, GDestroyNotify destroy)
{
  DscoreReporter *reporter = g_atomic_rc_box_new0 (DscoreReporter);

  reporter->kinds = g_strdupv ((char **) kinds);
  reporter->send = send;
  reporter->data = data;
  reporter->destroy = destroy;
  g_mutex_init (&reporter->lock);
  return reporter;
}

DscoreReporter *
dscore_reporter_ref (DscoreReporter *reporter)
{
  return g_atomic_rc_box_acquire (reporter);
}

static void
clear (gpointer data)
{
  DscoreReporter *reporter = data;

  if (reporter->destroy != NULL)
    reporter->destroy (reporter->data);
  g_strfreev (reporter->kinds);
  g_mutex_clear (&reporter->lock);
}

void
dscore_reporter_unref (DscoreReporter *reporter)
{
  g_atomic_rc_box_release_full (reporter, clear);
}

/* Whether there is room in this second; how many were kept back since the last one that was sent. */
static gboolean
take_room (DscoreReporter *reporter, gint64 now, guint *kept_back)
{
  gint64 second = now / G_TIME_SPAN_SECOND;
  gboolean room;

  g_mutex_lock (&reporter->lock);
  if (second != reporter->second) {
    reporter->second = second;
    reporter->sent = 0;
  }
  room = reporter->sent < EVENTS_PER_SECOND;
  *kept_back = reporter->kept_back;
  reporter->sent += room ? 1 : 0;
  reporter->kept_back = room ? 0 : reporter->kept_back + 1;
  g_mutex_unlock (&reporter->lock);
  return room;
}

void
dscore_reporter_see (DscoreReporter *reporter, const DscorePipelineEvent *event, gint64 now)
{
  const char *kind = dscore_pipeline_kind_to_string (event->kind);
  g_autoptr (JsonObject) message = NULL;
  guint kept_back;

  if (reporter->kinds == NULL || !g_strv_contains ((const char *const *) reporter->kinds, kind) || !take_room (reporter, now, &kept_back))
    return;
  message = dscore_pipeline_event_to_message (event);
  if (kept_back > 0)
    json_object_set_int_member (message, "kept_back", kept_back);
  if (!reporter->send (reporter->data, message))
    dscore_log (G_LOG_LEVEL_DEBUG, "pipeline_event_not_sent", "kind", kind, NULL);
}
