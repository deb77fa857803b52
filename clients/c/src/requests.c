/* terminate_app is asked once by a server, and again by the next one after a restart: each request_id gets its one answer. */
#include "requests.h"

#include "log.h"

#define MAX_REQUESTS 100

void
dscore_requests_clear (DscoreRequests *self)
{
  g_clear_pointer (&self->asked, g_ptr_array_unref);
  g_clear_pointer (&self->answer, dscore_answer_free);
}

static gboolean
answer_waiting (DscoreRequests *self, DscoreConversation *conversation)
{
  gboolean told = FALSE, lost = FALSE;
  for (; self->asked != NULL && self->answered < self->asked->len; self->answered++)
    {
      g_autoptr (JsonObject) message = dscore_message_new ("app_terminated");
      json_object_set_string_member (message, "request_id", g_ptr_array_index (self->asked, self->answered));
      json_object_set_string_member (message, "status", self->answer->ok ? "OK" : "ERROR");
      json_object_set_string_member (message, "message", self->answer->message);
      json_object_set_boolean_member (message, "complete", self->answer->complete);
      gboolean sent = dscore_conversation_send (conversation, message);
      told |= sent;
      lost |= !sent;
    }
  if (lost)
    dscore_log (G_LOG_LEVEL_WARNING, "answer_lost", "reason", "not connected", NULL);
  return told;
}

void
dscore_requests_note (DscoreRequests *self, DscoreConversation *conversation, const char *request_id)
{
  if (self->asked == NULL)
    self->asked = g_ptr_array_new_with_free_func (g_free);
  if (self->asked->len >= MAX_REQUESTS || g_ptr_array_find_with_equal_func (self->asked, request_id, g_str_equal, NULL))
    return;
  g_ptr_array_add (self->asked, g_strdup (request_id));
  if (self->answer != NULL)
    answer_waiting (self, conversation);
}

gboolean
dscore_requests_answer (DscoreRequests *self, DscoreConversation *conversation, DscoreAnswer *answer)
{
  g_clear_pointer (&self->answer, dscore_answer_free);
  self->answer = answer;
  return answer_waiting (self, conversation);
}

void
dscore_requests_progress (DscoreRequests *self, DscoreConversation *conversation, const char *stage, guint need_ms)
{
  for (guint i = self->answered; self->asked != NULL && i < self->asked->len; i++)
    {
      g_autoptr (JsonObject) message = dscore_message_new ("termination_progress");
      json_object_set_string_member (message, "request_id", g_ptr_array_index (self->asked, i));
      json_object_set_string_member (message, "stage", stage);
      json_object_set_int_member (message, "need_ms", need_ms);
      dscore_conversation_send (conversation, message);
    }
}
