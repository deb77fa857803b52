/* Signals on their way to the owner's context: bounded, in order. A source holds no reference to the agent, so one that waits in a
 * context that never turns keeps nothing alive. */
#include "emitter.h"

#define MAX_PENDING 1000
#define MAX_PENDING_BYTES (96u * 1024 * 1024) /* of memory, about: more than the greatest message alone */

struct _DscoreEmitter {
  gatomicrefcount refs;
  GWeakRef agent;
  GMainContext *owner;
  const DscoreEmissions *emissions;

  GMutex lock;
  guint pending; /* messages */
  gsize bytes;
  gboolean is_state_due; /* one notification says as much as ten */
};

typedef enum { MESSAGE, TERMINATE, EXITED, STATE } Kind;

typedef struct {
  DscoreEmitter *emitter;
  Kind kind;
  JsonObject *message;
  gsize bytes;
  DscoreTermination *termination;
  int code;
} Emission;

DscoreEmitter *
dscore_emitter_new (gpointer agent, GMainContext *owner, const DscoreEmissions *emissions)
{
  DscoreEmitter *self = g_new0 (DscoreEmitter, 1);
  g_atomic_ref_count_init (&self->refs);
  g_weak_ref_init (&self->agent, agent);
  self->owner = g_main_context_ref (owner);
  self->emissions = emissions;
  g_mutex_init (&self->lock);
  return self;
}

DscoreEmitter *
dscore_emitter_ref (DscoreEmitter *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
dscore_emitter_unref (DscoreEmitter *self)
{
  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_weak_ref_clear (&self->agent);
  g_main_context_unref (self->owner);
  g_mutex_clear (&self->lock);
  g_free (self);
}

gpointer
dscore_emitter_dup_agent (DscoreEmitter *self)
{
  return g_weak_ref_get (&self->agent);
}

gboolean
dscore_emitter_has_terminate_handler (DscoreEmitter *self)
{
  g_autoptr (GObject) agent = g_weak_ref_get (&self->agent);
  return agent != NULL && self->emissions->has_terminate_handler (agent);
}

static void
emission_free (gpointer data)
{
  Emission *emission = data;
  g_clear_pointer (&emission->message, json_object_unref);
  g_clear_object (&emission->termination);
  dscore_emitter_unref (emission->emitter);
  g_free (emission);
}

/* It is no longer waiting. */
static void
take (Emission *emission)
{
  DscoreEmitter *self = emission->emitter;
  g_mutex_lock (&self->lock);
  if (emission->kind == MESSAGE)
    {
      self->pending--;
      self->bytes -= emission->bytes;
    }
  else if (emission->kind == STATE)
    self->is_state_due = FALSE;
  g_mutex_unlock (&self->lock);
}

static gboolean
emit (gpointer data)
{
  Emission *emission = data;
  const DscoreEmissions *emissions = emission->emitter->emissions;
  take (emission);
  g_autoptr (GObject) agent = g_weak_ref_get (&emission->emitter->agent);
  if (agent == NULL)
    return G_SOURCE_REMOVE;
  switch (emission->kind)
    {
    case MESSAGE: emissions->message (agent, emission->message); break;
    case TERMINATE: emissions->terminate (agent, emission->termination); break;
    case EXITED: emissions->exited (agent, emission->code); break;
    case STATE: emissions->state (agent); break;
    default: break;
    }
  return G_SOURCE_REMOVE;
}

static void
post (DscoreEmitter *self, Emission emission)
{
  GSource *source = g_idle_source_new ();
  emission.emitter = dscore_emitter_ref (self);
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, emit, g_memdup (&emission, sizeof emission), emission_free);
  g_source_attach (source, self->owner);
  g_source_unref (source);
}

gboolean
dscore_emitter_message (DscoreEmitter *self, JsonObject *message, gsize bytes)
{
  g_mutex_lock (&self->lock);
  gboolean fits = self->pending < MAX_PENDING && bytes <= MAX_PENDING_BYTES - self->bytes;
  if (fits)
    {
      self->pending++;
      self->bytes += bytes;
    }
  g_mutex_unlock (&self->lock);
  if (fits)
    post (self, (Emission){ .kind = MESSAGE, .message = json_object_ref (message), .bytes = bytes });
  return fits;
}

void
dscore_emitter_terminate (DscoreEmitter *self, DscoreTermination *termination)
{
  post (self, (Emission){ .kind = TERMINATE, .termination = g_object_ref (termination) });
}

void
dscore_emitter_exited (DscoreEmitter *self, int code)
{
  post (self, (Emission){ .kind = EXITED, .code = code });
}

void
dscore_emitter_state (DscoreEmitter *self)
{
  g_mutex_lock (&self->lock);
  gboolean is_due = self->is_state_due;
  self->is_state_due = TRUE;
  g_mutex_unlock (&self->lock);
  if (!is_due)
    post (self, (Emission){ .kind = STATE });
}
