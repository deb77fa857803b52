/* Several pipelines that are stopped side by side: one that hangs takes no time of another one's. */
#include "group.h"

#include "call.h"

/* dscore_stop_run() keeps to its deadline; a machine that is busy may bring its report this much later. */
#define SLACK_US (100 * G_TIME_SPAN_MILLISECOND)
/* All of them tell at the same time; one word is enough. */
#define PROGRESS_US (G_TIME_SPAN_SECOND / 2)

typedef struct {
  GMutex lock;
  gint64 told;
  DscoreStopProgress progress; /* NULL once the group is gone, which may be before the last thread is. */
  gpointer data;
} Voice;

typedef struct {
  DscoreAttachment *attachment;
  GstPipeline *pipeline;
  Voice *voice;
  DscoreStopOptions options;
  DscoreStopReport *report;
} Stop;

typedef struct {
  Stop *stop; /* The call's. */
  DscoreCall *call;
} Member;

struct _DscoreGroup {
  gint64 eos_timeout;
  gint64 deadline;
  Voice *voice;
  GPtrArray *members;
};

static void
voice_clear (gpointer data)
{
  g_mutex_clear (&((Voice *) data)->lock);
}

static void
voice_release (Voice *voice)
{
  g_atomic_rc_box_release_full (voice, voice_clear);
}

static void
tell (const char *stage, gint64 left, gpointer data)
{
  Voice *voice = data;
  gint64 now = g_get_monotonic_time ();

  g_mutex_lock (&voice->lock);
  if (voice->progress != NULL && now - voice->told >= PROGRESS_US) {
    voice->told = now;
    voice->progress (stage, left, voice->data);
  }
  g_mutex_unlock (&voice->lock);
}

static void
member_free (gpointer data)
{
  Member *member = data;

  dscore_call_unref (member->call);
  g_free (member);
}

DscoreGroup *
dscore_group_new (gint64 eos_timeout, gint64 deadline, DscoreStopProgress progress, gpointer progress_data)
{
  DscoreGroup *group = g_new0 (DscoreGroup, 1);

  group->eos_timeout = eos_timeout;
  group->deadline = deadline;
  group->voice = g_atomic_rc_box_new0 (Voice);
  g_mutex_init (&group->voice->lock);
  group->voice->progress = progress;
  group->voice->data = progress_data;
  group->members = g_ptr_array_new_with_free_func (member_free);
  return group;
}

void
dscore_group_free (DscoreGroup *group)
{
  g_mutex_lock (&group->voice->lock);
  group->voice->progress = NULL;
  g_mutex_unlock (&group->voice->lock);
  voice_release (group->voice);
  g_ptr_array_unref (group->members);
  g_free (group);
}

static void
run (gpointer data, gpointer call)
{
  Stop *stop = data;

  stop->report = dscore_attachment_stop (stop->attachment, stop->pipeline, &stop->options);
}

static void
stop_free (gpointer data)
{
  Stop *stop = data;

  g_clear_pointer (&stop->report, dscore_stop_report_free);
  dscore_attachment_unref (stop->attachment);
  gst_object_unref (stop->pipeline);
  voice_release (stop->voice);
  g_free (stop);
}

static gboolean
has (DscoreGroup *group, DscoreAttachment *attachment)
{
  for (guint i = 0; i < group->members->len; i++)
    if (((Member *) group->members->pdata[i])->stop->attachment == attachment)
      return TRUE;
  return FALSE;
}

gboolean
dscore_group_stop (DscoreGroup *group, DscoreAttachment *attachment)
{
  GstPipeline *pipeline = has (group, attachment) ? NULL : dscore_attachment_dup_pipeline (attachment);
  Member *member;
  Stop *stop;

  if (pipeline == NULL)
    return FALSE;
  stop = g_new0 (Stop, 1);
  stop->attachment = dscore_attachment_ref (attachment);
  stop->pipeline = pipeline;
  stop->voice = g_atomic_rc_box_acquire (group->voice);
  stop->options = (DscoreStopOptions) { group->eos_timeout, group->deadline, tell, stop->voice };
  member = g_new0 (Member, 1);
  member->stop = stop;
  member->call = dscore_call_start ("dscore-stop", run, stop, stop_free);
  g_ptr_array_add (group->members, member);
  return TRUE;
}

void
dscore_group_wait (DscoreGroup *group)
{
  for (guint i = 0; i < group->members->len; i++)
    dscore_call_wait (((Member *) group->members->pdata[i])->call, group->deadline + SLACK_US);
}

static void
append (DscoreStopReport *whole, GString *words, const Member *member, gboolean named)
{
  const DscoreStopReport *its = dscore_call_is_done (member->call) ? member->stop->report : NULL;

  if (words->len > 0)
    g_string_append (words, "; ");
  if (named)
    g_string_append_printf (words, "%s: ", dscore_attachment_get_name (member->stop->attachment));
  g_string_append (words, its == NULL ? "the pipeline did not stop in time" : its->message);
  whole->ok = whole->ok && its != NULL && its->ok;
  whole->complete = whole->complete && its != NULL && its->complete;
  if (its != NULL) {
    whole->eos_us = MAX (whole->eos_us, its->eos_us);
    whole->null_us = MAX (whole->null_us, its->null_us);
  }
}

DscoreStopReport *
dscore_group_report (DscoreGroup *group)
{
  DscoreStopReport *whole = g_new0 (DscoreStopReport, 1);
  GString *words = g_string_new (NULL);

  whole->ok = whole->complete = TRUE;
  for (guint i = 0; i < group->members->len; i++)
    append (whole, words, group->members->pdata[i], group->members->len > 1);
  whole->message = g_string_free (words, FALSE);
  return whole;
}
