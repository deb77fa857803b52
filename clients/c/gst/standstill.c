/* The one stop of a pipeline: asked for again, it gives the same report.
 *
 * The end of a pipeline and the server's wish to end it often meet: each of them has it stopped, in a thread of its own. */
#include "standstill.h"

void
dscore_standstill_init (DscoreStandstill *standstill)
{
  g_mutex_init (&standstill->lock);
  g_cond_init (&standstill->reported);
}

void
dscore_standstill_clear (DscoreStandstill *standstill)
{
  g_clear_pointer (&standstill->report, dscore_stop_report_free);
  g_cond_clear (&standstill->reported);
  g_mutex_clear (&standstill->lock);
}

static DscoreStopReport *
copy (const DscoreStopReport *report)
{
  DscoreStopReport *twin = g_new (DscoreStopReport, 1);

  *twin = *report;
  twin->message = g_strdup (report->message);
  return twin;
}

/* With the lock held. */
static DscoreStopReport *
wait_for_report (DscoreStandstill *standstill, gint64 deadline)
{
  while (standstill->report == NULL && g_get_monotonic_time () < deadline)
    g_cond_wait_until (&standstill->reported, &standstill->lock, deadline);
  return standstill->report == NULL ? NULL : copy (standstill->report);
}

DscoreStopReport *
dscore_standstill_reach (DscoreStandstill *standstill, GstPipeline *pipeline, DscoreEnding *ending,
                         const DscoreStopOptions *options)
{
  DscoreStopReport *report;

  g_mutex_lock (&standstill->lock);
  if (standstill->begun) {
    report = wait_for_report (standstill, options->deadline);
    g_mutex_unlock (&standstill->lock);
    return report;
  }
  standstill->begun = TRUE;
  g_mutex_unlock (&standstill->lock);
  report = dscore_stop_run (pipeline, ending, options);
  g_mutex_lock (&standstill->lock);
  standstill->report = copy (report);
  g_cond_broadcast (&standstill->reported);
  g_mutex_unlock (&standstill->lock);
  return report;
}
