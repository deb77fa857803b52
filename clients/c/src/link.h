#pragma once

#include "conversation.h"

G_BEGIN_DECLS

/* The agent's way through attempts and connections, from the first one to the last. Of the worker's thread. */
typedef struct _DscoreLink DscoreLink;

typedef struct {
  gboolean (*is_terminating) (gpointer owner); /* no connection is made any more */
  void (*entered) (gpointer owner, DscoreState state);
  void (*changed) (gpointer owner); /* something of its facts, below */
  void (*set_server_leaving) (gpointer owner, gboolean leaving);
  void (*writable) (gpointer owner);
  void (*disconnected) (gpointer owner);
  void (*over) (gpointer owner); /* the server wants no more of it, or dscore_link_close() is done; the last call */
} DscoreLinkSink;

/* What can be known of it. */
typedef struct {
  gint64 attempts;
  double retry_in; /* seconds; -1 unless it waits */
  guint last_code;
  const char *last_reason;
  DscoreHealth health;
} DscoreLinkFacts;

DscoreLink *dscore_link_new (DscoreConfig *config, DscoreCredentials *credentials, GMainContext *context,
                             DscoreConversation *conversation, const DscoreLinkSink *sink, gpointer owner);
void dscore_link_free (DscoreLink *self);
void dscore_link_begin (DscoreLink *self);
/* The open connection; NULL: there is none. */
DscoreSocket *dscore_link_socket (DscoreLink *self);
/* The server has taken the agent in. */
void dscore_link_acknowledged (DscoreLink *self);
/* The server said how long to stay away after the close. */
void dscore_link_hinted (DscoreLink *self, double seconds);
/* Ends what there is, the connection with 1001 and these words; `over` comes within DSCORE_CLOSE_US. */
void dscore_link_close (DscoreLink *self, const char *farewell);
DscoreLinkFacts dscore_link_facts (const DscoreLink *self);

G_END_DECLS
