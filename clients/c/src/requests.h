#pragma once

#include "conversation.h"
#include "termination-private.h"

G_BEGIN_DECLS

/* The requests to terminate that want to hear of the one termination. All zero at first. */
typedef struct {
  GPtrArray *asked;     /* every id, so that each is answered once */
  guint answered;       /* how many of them have their answer */
  DscoreAnswer *answer; /* NULL: there is none yet */
} DscoreRequests;

void dscore_requests_clear (DscoreRequests *self);
/* Takes note of a request, which is answered when the answer is known. */
void dscore_requests_note (DscoreRequests *self, DscoreConversation *conversation, const char *request_id);
/* Takes the answer, and sends it to all that wait; FALSE: the server was not told. */
gboolean dscore_requests_answer (DscoreRequests *self, DscoreConversation *conversation, DscoreAnswer *answer);
void dscore_requests_progress (DscoreRequests *self, DscoreConversation *conversation, const char *stage, guint need_ms);

G_END_DECLS
