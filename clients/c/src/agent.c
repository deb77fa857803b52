/* The GObject that programs see: checks, signals, documentation. */
#include "core.h"

#include "json.h"
#include "statelog.h"

#include <string.h>

struct _DscoreAgent {
  GObject parent_instance;
  DscoreCore *core;
};

G_DEFINE_TYPE (DscoreAgent, dscore_agent, G_TYPE_OBJECT)

enum { SIGNAL_MESSAGE, SIGNAL_TERMINATE, SIGNAL_EXITED, SIGNALS };
enum { PROP_0, PROP_STATE, PROPS };

/* Numbers that GObject gives to the class, once. */
static guint signals[SIGNALS];
static GParamSpec *properties[PROPS];

static void
emit_message (gpointer agent, JsonObject *message)
{
  g_signal_emit (agent, signals[SIGNAL_MESSAGE], 0, message);
}

static void
emit_terminate (gpointer agent, DscoreTermination *termination)
{
  g_signal_emit (agent, signals[SIGNAL_TERMINATE], 0, termination);
}

static void
emit_exited (gpointer agent, int code)
{
  g_signal_emit (agent, signals[SIGNAL_EXITED], 0, code);
}

static void
notify_state (gpointer agent)
{
  g_object_notify_by_pspec (agent, properties[PROP_STATE]);
}

static gboolean
has_terminate_handler (gpointer agent)
{
  return g_signal_has_handler_pending (agent, signals[SIGNAL_TERMINATE], 0, FALSE);
}

static void
dscore_agent_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_STATE)
    g_value_set_int (value, dscore_agent_get_state (DSCORE_AGENT (object)));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
dscore_agent_finalize (GObject *object)
{
  DscoreAgent *self = DSCORE_AGENT (object);
  /* Not waited for: this may be any thread, the worker's too. */
  dscore_core_close (self->core, 0, NULL);
  dscore_core_detach (self->core);
  dscore_core_unref (self->core);
  G_OBJECT_CLASS (dscore_agent_parent_class)->finalize (object);
}

static void
add_signals (void)
{
  /**
   * DscoreAgent::message:
   * @self: The agent.
   * @message: A message that is not part of the protocol. It is not to be changed.
   *
   * The server has sent something to the application.
   */
  signals[SIGNAL_MESSAGE] = g_signal_new ("message", DSCORE_TYPE_AGENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                          JSON_TYPE_OBJECT | G_SIGNAL_TYPE_STATIC_SCOPE);
  /**
   * DscoreAgent::terminate:
   * @self: The agent.
   * @termination: What is asked, and where to answer: dscore_termination_finish().
   *
   * The application has to stop; once, however often it is asked. Without a handler, and without a function of
   * dscore_agent_set_stop_func(), the agent answers OK at once.
   */
  signals[SIGNAL_TERMINATE] = g_signal_new ("terminate", DSCORE_TYPE_AGENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                            DSCORE_TYPE_TERMINATION);
  /**
   * DscoreAgent::exited:
   * @self: The agent.
   * @code: A #DscoreExit.
   *
   * The agent is over: the place to quit a main loop.
   */
  signals[SIGNAL_EXITED] = g_signal_new ("exited", DSCORE_TYPE_AGENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_INT);
}

static void
dscore_agent_class_init (DscoreAgentClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->get_property = dscore_agent_get_property;
  object_class->finalize = dscore_agent_finalize;

  /**
   * DscoreAgent:state:
   *
   * Where the agent is, a #DscoreState. Notified in the agent's context when it changes, or when the server begins or ends
   * shutting down.
   */
  properties[PROP_STATE] = g_param_spec_int ("state", "State", "Where the agent is in its life", DSCORE_STATE_IDLE, DSCORE_STATE_CLOSED,
                                             DSCORE_STATE_IDLE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, PROPS, properties);
  add_signals ();
}

static void
dscore_agent_init (DscoreAgent *self)
{
}

/**
 * dscore_agent_new:
 * @config: The settings.
 *
 * Opens nothing yet. Signals will come in the context that is thread-default now.
 *
 * Returns: (transfer full): An agent.
 */
DscoreAgent *
dscore_agent_new (DscoreConfig *config)
{
  static const DscoreEmissions emissions = { emit_message, emit_terminate, emit_exited, notify_state, has_terminate_handler };
  g_return_val_if_fail (DSCORE_IS_CONFIG (config), NULL);
  DscoreAgent *self = g_object_new (DSCORE_TYPE_AGENT, NULL);
  g_autoptr (GMainContext) owner = g_main_context_ref_thread_default ();
  g_autoptr (DscoreEmitter) emitter = dscore_emitter_new (self, owner, &emissions);
  self->core = dscore_core_new (config, emitter);
  return self;
}

/**
 * dscore_agent_set_stop_func:
 * @self: An agent.
 * @func: (nullable) (scope notified) (closure user_data): Begins to stop the application; %NULL: there is none.
 * @user_data: For it.
 * @destroy: (destroy user_data): Frees @user_data.
 *
 * Has a function called in the agent's worker when the application has to stop, so that it comes even while the main loop is
 * blocked. ::terminate is emitted as well, where it has a handler; the first answer counts.
 */
void
dscore_agent_set_stop_func (DscoreAgent *self, DscoreStopFunc func, gpointer user_data, GDestroyNotify destroy)
{
  g_return_if_fail (DSCORE_IS_AGENT (self));
  dscore_core_set_stop_func (self->core, func, user_data, destroy);
}

/**
 * dscore_agent_start:
 * @self: An agent.
 * @error: Says what is wrong: the token's file, a certificate, a TLS that is not installed.
 *
 * Begins to connect, and returns at once.
 *
 * Returns: Whether it has begun.
 */
gboolean
dscore_agent_start (DscoreAgent *self, GError **error)
{
  g_return_val_if_fail (DSCORE_IS_AGENT (self), FALSE);
  return dscore_core_start (self->core, error);
}

static gboolean
send_bytes (DscoreAgent *self, char *text, gsize size, const char *type, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new_take (text, size);
  return dscore_core_send (self->core, bytes, type, error);
}

/**
 * dscore_agent_send:
 * @self: An agent.
 * @message: An object with a string `type`.
 * @error: Says why it was not taken.
 *
 * Sends a message of the application to the server. While the agent is away it waits; when too many wait, the oldest is dropped
 * and counted. New work is refused while the server shuts down and while the application is being stopped; messages that are part
 * of the protocol are not.
 *
 * Returns: Whether it was taken.
 */
gboolean
dscore_agent_send (DscoreAgent *self, JsonObject *message, GError **error)
{
  g_return_val_if_fail (DSCORE_IS_AGENT (self) && message != NULL, FALSE);
  if (dscore_core_is_forked (self->core, error))
    return FALSE;
  const char *type = dscore_json_string (message, "type");
  if (type == NULL)
    {
      g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_MESSAGE, "a message is an object with a string 'type'");
      return FALSE;
    }
  gsize size;
  char *text = dscore_json_text (message, &size);
  const char *fault = dscore_json_fault (text, size);
  if (fault != NULL)
    {
      /* An infinite number, or text that is not UTF-8: the server would count it as an error of this agent. */
      g_set_error (error, DSCORE_ERROR, DSCORE_ERROR_MESSAGE, "a message must be JSON: %s", fault);
      g_free (text);
      return FALSE;
    }
  return send_bytes (self, text, size, type, error);
}

/**
 * dscore_agent_send_text:
 * @self: An agent.
 * @json: An object with a string `type`, as JSON.
 * @length: Bytes of it; -1: up to its NUL.
 * @error: Says why it was not taken.
 *
 * dscore_agent_send() for text that is there already.
 *
 * Returns: Whether it was taken.
 */
gboolean
dscore_agent_send_text (DscoreAgent *self, const char *json, gssize length, GError **error)
{
  g_return_val_if_fail (DSCORE_IS_AGENT (self) && json != NULL, FALSE);
  if (dscore_core_is_forked (self->core, error))
    return FALSE;
  gsize size = length < 0 ? strlen (json) : (gsize) length;
  g_autofree char *text = g_strndup (json, size);
  g_autoptr (JsonObject) message = dscore_json_object (text, size, NULL, error);
  if (message == NULL)
    return FALSE;
  return send_bytes (self, g_steal_pointer (&text), size, dscore_json_string (message, "type"), error);
}

/**
 * dscore_agent_stop:
 * @self: An agent.
 * @reason: (nullable): Whose wish it is.
 *
 * Has the application stop as if the server had asked for it. Returns at once; ::exited comes when it is done.
 */
void
dscore_agent_stop (DscoreAgent *self, const char *reason)
{
  g_return_if_fail (DSCORE_IS_AGENT (self));
  dscore_core_stop (self->core, reason != NULL ? reason : "stopped on this machine");
}

/**
 * dscore_agent_close:
 * @self: An agent.
 * @timeout_us: Microseconds to wait; negative: for as long as it takes, which is bounded by the settings.
 *
 * Ends the agent without asking the application. Where the application is being stopped already, the answer goes out first. It
 * needs no main loop. In the worker's own thread (#DscoreStopFunc) it does not wait, nor in a child that was forked, which has no agent.
 *
 * Returns: A #DscoreExit; -1: it is not over yet.
 */
int
dscore_agent_close (DscoreAgent *self, gint64 timeout_us)
{
  return dscore_agent_close_with_reason (self, timeout_us, NULL);
}

/**
 * dscore_agent_close_with_reason:
 * @self: An agent.
 * @timeout_us: As of dscore_agent_close().
 * @reason: (nullable): For the server, whose `why` tells it; what a close frame has no room for is cut.
 *
 * dscore_agent_close() with words.
 *
 * Returns: A #DscoreExit; -1: it is not over yet.
 */
int
dscore_agent_close_with_reason (DscoreAgent *self, gint64 timeout_us, const char *reason)
{
  g_return_val_if_fail (DSCORE_IS_AGENT (self), DSCORE_EXIT_FAILED);
  return dscore_core_close (self->core, timeout_us, reason);
}

/**
 * dscore_agent_watch_signals:
 * @self: An agent that was started.
 *
 * Has SIGTERM and SIGINT stop the application as dscore_agent_stop() does; a second ctrl-C ends the process with 130. SIGUSR1
 * writes the state of the connection to the log. Handlers that the program has set for them are replaced, until the agent is over.
 */
void
dscore_agent_watch_signals (DscoreAgent *self)
{
  g_return_if_fail (DSCORE_IS_AGENT (self));
  dscore_core_watch_signals (self->core);
}

/**
 * dscore_agent_get_config:
 * @self: An agent.
 *
 * The settings that it was made with.
 *
 * Returns: (transfer none): Its settings.
 */
DscoreConfig *
dscore_agent_get_config (DscoreAgent *self)
{
  g_return_val_if_fail (DSCORE_IS_AGENT (self), NULL);
  return dscore_core_config (self->core);
}

/**
 * dscore_agent_get_state:
 * @self: An agent.
 *
 * Like the property, from any thread.
 *
 * Returns: Where it is in its life.
 */
DscoreState
dscore_agent_get_state (DscoreAgent *self)
{
  g_return_val_if_fail (DSCORE_IS_AGENT (self), DSCORE_STATE_CLOSED);
  g_autoptr (DscoreStatus) status = dscore_core_dup_status (self->core);
  return status->state;
}

/**
 * dscore_agent_dup_status:
 * @self: An agent.
 *
 * Takes a snapshot: what belongs together is of one moment.
 *
 * Returns: (transfer full): All that can be known of it now.
 */
DscoreStatus *
dscore_agent_dup_status (DscoreAgent *self)
{
  g_return_val_if_fail (DSCORE_IS_AGENT (self), NULL);
  return dscore_core_dup_status (self->core);
}

/**
 * dscore_agent_log_state:
 * @self: An agent.
 * @level: Of the log, %G_LOG_LEVEL_INFO for one.
 *
 * Writes the DeepStream contract's block about the connection to the log, domain "dscore".
 */
void
dscore_agent_log_state (DscoreAgent *self, GLogLevelFlags level)
{
  g_return_if_fail (DSCORE_IS_AGENT (self));
  g_autoptr (DscoreStatus) status = dscore_core_dup_status (self->core);
  dscore_state_log (status, level);
}
