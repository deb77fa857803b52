/* How far a pipeline has come, as its bus tells it.
 *
 * Streaming threads write, the thread that stops the pipeline reads. */
#include "ending.h"

#include "stuck.h"

/* An element in trouble may tell of it a thousand times a second. What comes after the very first often follows from it. */
#define MAX_ERRORS 16
/* A sink tells of the end while it takes it; its pad shows it only when it has. */
#define STORE_US (200 * G_TIME_SPAN_MILLISECOND)

typedef struct {
  char *source;
  char *words;
} Fault;

struct _DscoreEnding {
  GMutex lock;
  GCond changed;
  guint eos; /* How often it came. */
  GPtrArray *faults;
};

static void
fault_free (gpointer data)
{
  Fault *fault = data;

  g_free (fault->source);
  g_free (fault->words);
  g_free (fault);
}

DscoreEnding *
dscore_ending_new (void)
{
  DscoreEnding *ending = g_atomic_rc_box_new0 (DscoreEnding);

  g_mutex_init (&ending->lock);
  g_cond_init (&ending->changed);
  ending->faults = g_ptr_array_new_with_free_func (fault_free);
  return ending;
}

DscoreEnding *
dscore_ending_ref (DscoreEnding *ending)
{
  return g_atomic_rc_box_acquire (ending);
}

static void
clear (gpointer data)
{
  DscoreEnding *ending = data;

  g_ptr_array_unref (ending->faults);
  g_cond_clear (&ending->changed);
  g_mutex_clear (&ending->lock);
}

void
dscore_ending_unref (DscoreEnding *ending)
{
  g_atomic_rc_box_release_full (ending, clear);
}

static void
add_fault (DscoreEnding *ending, const DscorePipelineEvent *event)
{
  g_autofree char *words = dscore_pipeline_event_to_string (event);
  Fault *fault;

  if (ending->faults->len >= MAX_ERRORS)
    return;
  for (guint i = 0; i < ending->faults->len; i++)
    if (g_str_equal (((Fault *) ending->faults->pdata[i])->words, words))
      return;
  fault = g_new0 (Fault, 1);
  fault->source = g_strdup (event->source);
  fault->words = g_steal_pointer (&words);
  g_ptr_array_add (ending->faults, fault);
}

void
dscore_ending_see (DscoreEnding *ending, const DscorePipelineEvent *event)
{
  g_mutex_lock (&ending->lock);
  if (event->kind == DSCORE_PIPELINE_EOS) {
    ending->eos++;
  } else if (event->kind == DSCORE_PIPELINE_ERROR) {
    add_fault (ending, event);
  }
  g_cond_broadcast (&ending->changed);
  g_mutex_unlock (&ending->lock);
}

static guint
count_eos (DscoreEnding *ending)
{
  guint count;

  g_mutex_lock (&ending->lock);
  count = ending->eos;
  g_mutex_unlock (&ending->lock);
  return count;
}

void
dscore_ending_forget_old_eos (DscoreEnding *ending, GstBin *pipeline)
{
  gint64 until = g_get_monotonic_time () + STORE_US;
  guint count = count_eos (ending);

  while (count > 0) {
    g_autoptr (GPtrArray) open = dscore_stuck_unended_sinks (pipeline);

    if (open->len == 0)
      return;
    if (g_get_monotonic_time () >= until)
      break;
    g_usleep (STORE_US / 20);
  }
  g_mutex_lock (&ending->lock);
  if (ending->eos == count)
    ending->eos = 0;
  g_mutex_unlock (&ending->lock);
}

gboolean
dscore_ending_is_eos (DscoreEnding *ending)
{
  return dscore_ending_wait_eos (ending, 0);
}

gboolean
dscore_ending_wait_eos (DscoreEnding *ending, gint64 deadline)
{
  gboolean eos;

  g_mutex_lock (&ending->lock);
  while (ending->eos == 0 && g_get_monotonic_time () < deadline)
    g_cond_wait_until (&ending->changed, &ending->lock, deadline);
  eos = ending->eos > 0;
  g_mutex_unlock (&ending->lock);
  return eos;
}

void
dscore_ending_wait_over (DscoreEnding *ending)
{
  g_mutex_lock (&ending->lock);
  while (ending->eos == 0 && ending->faults->len == 0)
    g_cond_wait (&ending->changed, &ending->lock);
  g_mutex_unlock (&ending->lock);
}

gboolean
dscore_ending_has_failed (DscoreEnding *ending)
{
  gboolean failed;

  g_mutex_lock (&ending->lock);
  failed = ending->faults->len > 0;
  g_mutex_unlock (&ending->lock);
  return failed;
}

char *
dscore_ending_dup_first_error (DscoreEnding *ending)
{
  char *words = NULL;

  g_mutex_lock (&ending->lock);
  if (ending->faults->len > 0)
    words = g_strdup (((Fault *) ending->faults->pdata[0])->words);
  g_mutex_unlock (&ending->lock);
  return words;
}

GPtrArray *
dscore_ending_errors_of (DscoreEnding *ending, GPtrArray *all, GPtrArray *cameras)
{
  GPtrArray *errors = g_ptr_array_new_with_free_func (g_free);

  g_mutex_lock (&ending->lock);
  for (guint i = 0; i < ending->faults->len; i++) {
    const Fault *fault = ending->faults->pdata[i];

    if (dscore_names_contain (all, fault->source) && !dscore_names_contain (cameras, fault->source))
      g_ptr_array_add (errors, g_strdup (fault->words));
  }
  g_mutex_unlock (&ending->lock);
  return errors;
}
