#pragma once

#include "socket.h"

G_BEGIN_DECLS

/* What is said on one connection: introduction, heartbeats, and the answers the contract demands. */
typedef struct _DscoreConversation DscoreConversation;

/* What the server wants is passed on; nothing about the agent's life is decided here. */
typedef struct {
  void (*acknowledged) (gpointer owner, gboolean restored);
  void (*asked_to_terminate) (gpointer owner, const char *request_id, const char *reason);
  void (*server_leaves) (gpointer owner, double reconnect_after); /* seconds, or -1 */
  void (*received) (gpointer owner, JsonObject *message, gsize bytes); /* of memory, about */
} DscoreConversationSink;

DscoreConversation *dscore_conversation_new (DscoreConfig *config, GMainContext *context, const DscoreConversationSink *sink,
                                             gpointer owner);
void dscore_conversation_free (DscoreConversation *self);
/* Introduces the agent on a socket that has just opened. `reconnection`: the server has known this run of the agent before. */
void dscore_conversation_begin (DscoreConversation *self, DscoreSocket *socket, const char *token, gboolean reconnection,
                                guint last_close_code);
/* Says no more. */
void dscore_conversation_end (DscoreConversation *self);
void dscore_conversation_hear (DscoreConversation *self, const char *text, gsize size);
gboolean dscore_conversation_is_acknowledged (const DscoreConversation *self);
/* The server is being asked for something else: a heartbeat that is due about now goes along, so that the machine is woken once. So
 * does the first one of a connection: from then on both are due together. */
void dscore_conversation_join (DscoreConversation *self);
/* Sends a message of the protocol; FALSE: there is no connection, and it is lost. */
gboolean dscore_conversation_send (DscoreConversation *self, JsonObject *message);

/* Types that are part of the protocol: never refused, whatever the server is doing. */
gboolean dscore_type_is_control (const char *type);
/* An object with this type. */
JsonObject *dscore_message_new (const char *type);

G_END_DECLS
