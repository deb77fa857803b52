/* What an application is asked when it has to stop, and what it may answer.
 *
 * The first answer counts. With it the termination lets go of the agent, so that one that is kept for long keeps nothing else. */
#include "termination-private.h"

#define MAX_MESSAGE 8192 /* characters; the words are for people */

struct _DscoreTermination {
  GObject parent_instance;

  char *request_id;
  char *reason;
  gint64 deadline;
  const DscoreTerminationSink *sink;

  GMutex lock;
  gpointer owner; /* NULL once it is finished */
};

G_DEFINE_TYPE (DscoreTermination, dscore_termination, G_TYPE_OBJECT)

DscoreAnswer *
dscore_answer_new (gboolean ok, gboolean complete, const char *message)
{
  DscoreAnswer *self = g_new (DscoreAnswer, 1);
  self->ok = ok;
  self->complete = complete;
  self->message = g_utf8_make_valid (message, -1);
  /* The server closes a connection that brings more than its limit, and the answer would be lost. */
  if (g_utf8_strlen (self->message, -1) > MAX_MESSAGE)
    *g_utf8_offset_to_pointer (self->message, MAX_MESSAGE) = '\0';
  return self;
}

void
dscore_answer_free (DscoreAnswer *self)
{
  g_free (self->message);
  g_free (self);
}

int
dscore_answer_exit_code (const DscoreAnswer *self)
{
  if (!self->ok)
    return DSCORE_EXIT_FORCED;
  return self->complete ? DSCORE_EXIT_STOPPED : DSCORE_EXIT_INCOMPLETE;
}

static void
dscore_termination_finalize (GObject *object)
{
  DscoreTermination *self = DSCORE_TERMINATION (object);
  if (self->owner != NULL)
    self->sink->unref (self->owner);
  g_free (self->request_id);
  g_free (self->reason);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (dscore_termination_parent_class)->finalize (object);
}

static void
dscore_termination_class_init (DscoreTerminationClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = dscore_termination_finalize;
}

static void
dscore_termination_init (DscoreTermination *self)
{
  g_mutex_init (&self->lock);
}

/* `request_id` NULL: it was not the server that asked. */
DscoreTermination *
dscore_termination_new (const char *request_id, const char *reason, gint64 deadline, const DscoreTerminationSink *sink,
                        gpointer owner)
{
  DscoreTermination *self = g_object_new (DSCORE_TYPE_TERMINATION, NULL);
  self->request_id = g_strdup (request_id);
  self->reason = g_strdup (reason);
  self->deadline = deadline;
  self->sink = sink;
  self->owner = sink->ref (owner);
  return self;
}

/**
 * dscore_termination_get_request_id:
 * @self: A termination.
 *
 * Which of the server's requests it is; further ones of the same server are answered along with it.
 *
 * Returns: (nullable): The server's number of the request; %NULL when it was not the server that asked.
 */
const char *
dscore_termination_get_request_id (DscoreTermination *self)
{
  g_return_val_if_fail (DSCORE_IS_TERMINATION (self), NULL);
  return self->request_id;
}

/**
 * dscore_termination_get_reason:
 * @self: A termination.
 *
 * Why it is asked.
 *
 * Returns: The server's words, or whose wish it was.
 */
const char *
dscore_termination_get_reason (DscoreTermination *self)
{
  g_return_val_if_fail (DSCORE_IS_TERMINATION (self), NULL);
  return self->reason;
}

/**
 * dscore_termination_get_intent:
 * @self: A termination.
 *
 * Whose wish it is.
 *
 * Returns: Whether the server asked, or this machine did.
 */
DscoreIntent
dscore_termination_get_intent (DscoreTermination *self)
{
  g_return_val_if_fail (DSCORE_IS_TERMINATION (self), DSCORE_INTENT_LOCAL);
  return self->request_id != NULL ? DSCORE_INTENT_SERVER : DSCORE_INTENT_LOCAL;
}

/**
 * dscore_termination_get_deadline:
 * @self: A termination.
 *
 * Until when the application has to stop.
 *
 * Returns: The moment of g_get_monotonic_time() at which the agent answers ERROR by itself and leaves.
 */
gint64
dscore_termination_get_deadline (DscoreTermination *self)
{
  g_return_val_if_fail (DSCORE_IS_TERMINATION (self), 0);
  return self->deadline;
}

/**
 * dscore_termination_is_finished:
 * @self: A termination.
 *
 * Whether it is over.
 *
 * Returns: Whether there is an answer: the application's, or the agent's own at the deadline.
 */
gboolean
dscore_termination_is_finished (DscoreTermination *self)
{
  g_return_val_if_fail (DSCORE_IS_TERMINATION (self), TRUE);
  g_mutex_lock (&self->lock);
  gboolean finished = self->owner == NULL;
  g_mutex_unlock (&self->lock);
  return finished;
}

/**
 * dscore_termination_progress:
 * @self: A termination.
 * @stage: What is being done, in a word or two.
 * @need_ms: Milliseconds that it will take from now on.
 *
 * Tells the server that stopping goes on. The server grants the time up to its own limit; dscore_termination_get_deadline()
 * does not move, it is this machine's own. Without a connection it does nothing.
 */
void
dscore_termination_progress (DscoreTermination *self, const char *stage, guint need_ms)
{
  g_return_if_fail (DSCORE_IS_TERMINATION (self) && stage != NULL);
  g_mutex_lock (&self->lock);
  gpointer owner = self->owner == NULL ? NULL : self->sink->ref (self->owner);
  g_mutex_unlock (&self->lock);
  if (owner == NULL)
    return;
  self->sink->progress (owner, stage, need_ms);
  self->sink->unref (owner);
}

static void
finish (DscoreTermination *self, gboolean ok, gboolean complete, const char *message)
{
  g_mutex_lock (&self->lock);
  gpointer owner = g_steal_pointer (&self->owner);
  g_mutex_unlock (&self->lock);
  if (owner == NULL)
    return;
  self->sink->finished (owner, dscore_answer_new (ok, complete, message));
  self->sink->unref (owner);
}

/**
 * dscore_termination_finish:
 * @self: A termination.
 * @ok: The application has stopped cleanly.
 * @message: (nullable): For the server and its operators; %NULL: the usual words.
 *
 * Answers the server, and ends the agent. Only the first answer counts.
 */
void
dscore_termination_finish (DscoreTermination *self, gboolean ok, const char *message)
{
  g_return_if_fail (DSCORE_IS_TERMINATION (self));
  if (message == NULL)
    message = ok ? DSCORE_GRACEFUL : "the application did not stop cleanly";
  finish (self, ok, TRUE, message);
}

/**
 * dscore_termination_finish_incomplete:
 * @self: A termination.
 * @message: What did not reach its end, and where.
 *
 * Like dscore_termination_finish(): the application has stopped, but a stream did not reach its end, so a recording may lack
 * its index. The answer is OK, with "complete" false (PROTOCOL §2).
 */
void
dscore_termination_finish_incomplete (DscoreTermination *self, const char *message)
{
  g_return_if_fail (DSCORE_IS_TERMINATION (self) && message != NULL);
  finish (self, TRUE, FALSE, message);
}
