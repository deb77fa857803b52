/* Brings a pipeline to a standstill without losing what is in it, and never waits longer than told.
 *
 * 1. The end of the stream goes into every source, and is waited for on the bus: what is on its way reaches the sinks, a file gets
 *    its index (streams.c).
 * 2. The state NULL, asked for in a thread of its own: an element that hangs hangs there, not here.
 * 3. What did not end is named. */
#include "stop.h"

#include "call.h"
#include "eos.h"
#include "log.h"
#include "stuck.h"
#include "walk.h"

/* Of the time there is, for the elements to stop; the streams may have the rest to end. The share is that of a short time. */
#define NULL_US G_TIME_SPAN_SECOND
#define NULL_SHARE 5
/* For a program to take its messages, before the change to NULL drops them. */
#define BUS_US (500 * G_TIME_SPAN_MILLISECOND)
#define BUS_POLL_US (10 * G_TIME_SPAN_MILLISECOND)

#define GRACEFUL "Application terminated gracefully"

typedef struct {
  GstPipeline *pipeline;
  GstStateChangeReturn changed;
} Halt;

void
dscore_stop_report_free (DscoreStopReport *report)
{
  g_free (report->message);
  g_free (report);
}

gint64
dscore_stop_streams_us (gint64 wanted, gint64 available)
{
  return MIN (wanted, available - MIN (NULL_US, available / NULL_SHARE));
}

/* NULL empties it: a program that waits for the end of the stream there would wait for good. */
static void
let_bus_be_read (GstPipeline *pipeline, gint64 deadline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (GST_ELEMENT (pipeline));

  while (gst_bus_have_pending (bus) && g_get_monotonic_time () < deadline)
    g_usleep (BUS_POLL_US);
}

static void
halt (gpointer data, gpointer call)
{
  Halt *asked = data;

  asked->changed = gst_element_set_state (GST_ELEMENT (asked->pipeline), GST_STATE_NULL);
}

static void
halt_free (gpointer data)
{
  gst_object_unref (((Halt *) data)->pipeline);
  g_free (data);
}

/* What hangs, apart from a source that still waits for a sink. */
static GPtrArray *
hanging (DscoreStreams *streams)
{
  GstBin *pipeline = GST_BIN (dscore_streams_pipeline (streams));
  g_autoptr (GPtrArray) names = dscore_stuck_changing (pipeline);
  GPtrArray *found;

  if (names->len == 0) {
    g_ptr_array_unref (names);
    names = dscore_stuck_still_up (pipeline);
  }
  found = dscore_streams_without_held (streams, names);
  if (found->len > 0)
    return found;
  g_ptr_array_unref (found);
  return g_steal_pointer (&names);
}

/* Asks for the state NULL; returns which elements did not reach it. */
static GPtrArray *
stand_still (DscoreStreams *streams)
{
  Halt *asked = g_new0 (Halt, 1);
  g_autoptr (DscoreCall) asking = NULL;
  gboolean in_time;

  asked->pipeline = gst_object_ref (dscore_streams_pipeline (streams));
  dscore_streams_free_what_waits (streams);
  asking = dscore_call_start ("dscore-null", halt, asked, halt_free);
  do
    in_time = dscore_call_wait (asking, dscore_streams_next_step (streams));
  while (!in_time && dscore_streams_left (streams) > 0);
  if (!in_time)
    return hanging (streams);
  if (asked->changed == GST_STATE_CHANGE_FAILURE)
    return dscore_stuck_still_up (GST_BIN (asked->pipeline));
  return g_ptr_array_new ();
}

static char *
words_for (GPtrArray *hanging_names, const char *failure, GPtrArray *notes, gboolean flowed)
{
  g_autofree char *names = dscore_names_join (hanging_names);
  GString *words;

  if (hanging_names->len > 0)
    return g_strdup_printf ("the pipeline hangs: %s did not reach the state NULL", names);
  if (failure != NULL && !flowed)
    return g_strdup_printf ("the pipeline failed before it played: %s", failure);
  words = g_string_new (GRACEFUL);
  if (failure != NULL)
    g_string_append_printf (words, "; the pipeline had failed: %s", failure);
  for (guint i = 0; i < notes->len; i++)
    if (g_strcmp0 (notes->pdata[i], failure) != 0)
      g_string_append_printf (words, "; %s", (const char *) notes->pdata[i]);
  return g_string_free (words, FALSE);
}

static void
say (const DscoreStopReport *report)
{
  if (!report->ok)
    dscore_log (G_LOG_LEVEL_WARNING, "pipeline_hangs", "message", report->message, NULL);
  else
    dscore_log (report->complete ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING, "pipeline_stopped", "complete",
                report->complete ? "true" : "false", "message", report->message, NULL);
}

DscoreStopReport *
dscore_stop_run (GstPipeline *pipeline, DscoreEnding *ending, const DscoreStopOptions *options)
{
  g_autoptr (DscoreStreams) streams = dscore_streams_new (pipeline, ending, options);
  DscoreStopReport *report = g_new0 (DscoreStopReport, 1);
  g_autofree char *failure = dscore_ending_dup_first_error (ending);
  gint64 began = g_get_monotonic_time (), ended;
  gboolean flowing = dscore_streams_flow (streams);
  g_autoptr (GPtrArray) notes = NULL;
  g_autoptr (GPtrArray) up = NULL;

  if (flowing)
    dscore_streams_end (streams, dscore_stop_streams_us (options->eos_timeout, dscore_streams_left (streams)));
  notes = dscore_streams_notes (streams, flowing);
  ended = g_get_monotonic_time ();
  dscore_streams_set_stage (streams, "null");
  if (flowing)
    let_bus_be_read (pipeline, ended + MIN (BUS_US, dscore_streams_left (streams) / 2));
  up = stand_still (streams);
  report->ok = up->len == 0;
  report->complete = notes->len == 0;
  report->message = words_for (up, failure, notes, flowing);
  report->eos_us = ended - began;
  report->null_us = g_get_monotonic_time () - ended;
  say (report);
  return report;
}
