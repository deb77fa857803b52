/* The waits of PROTOCOL §7: tests/vectors/reconnect.json. */
#include "json.h"
#include "reconnect.h"
#include "vectors.h"

#include <math.h>
#include <string.h>

static const char *const rows[] = { "going_away", "shutting_down", "taken_over", "unauthenticated", "final", "other" };

static DscoreRow
row_named (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (strcmp (rows[i], name) == 0)
      return (DscoreRow) i;
  g_assert_not_reached ();
}

static double
fixed_draw (gpointer data)
{
  return *(double *) data;
}

static DscoreReconnectPolicy
policy_named (JsonObject *document, const char *name)
{
  JsonObject *one = json_object_get_object_member (json_object_get_object_member (document, "policies"), name);
  return (DscoreReconnectPolicy){
    .restart_delay = number_of (one, "restart_delay"),
    .shutdown_delay = number_of (one, "shutdown_delay"),
    .shutdown_step = number_of (one, "shutdown_step"),
    .base = number_of (one, "base"),
    .cap = number_of (one, "cap"),
    .identity_delay = number_of (one, "identity_delay"),
    .identity_cap = number_of (one, "identity_cap"),
    .exponential = json_object_get_boolean_member (one, "exponential"),
    .jitter = json_object_get_boolean_member (one, "jitter"),
    .stable_after = number_of (one, "stable_after"),
  };
}

static void
assert_close (double found, double expected)
{
  g_assert_cmpfloat_with_epsilon (found, expected, 1e-9 * MAX (1.0, fabs (expected)));
}

static void
test_defaults (void)
{
  g_autoptr (JsonNode) root = load_vectors ("reconnect.json");
  DscoreReconnectPolicy agent = policy_named (json_node_get_object (root), "agent");
  g_assert_cmpmem (&agent, sizeof agent, &dscore_reconnect_defaults, sizeof dscore_reconnect_defaults);
}

static void
test_rows (void)
{
  g_autoptr (JsonNode) root = load_vectors ("reconnect.json");
  JsonArray *cases = json_object_get_array_member (json_node_get_object (root), "rows");
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *one = json_array_get_object_element (cases, i);
      DscoreRow row = dscore_row_of ((guint) number_of (one, "code"), text_of (one, "reason"));
      g_assert_cmpstr (rows[row], ==, text_of (one, "agent"));
    }
}

static void
test_waits (void)
{
  g_autoptr (JsonNode) root = load_vectors ("reconnect.json");
  JsonObject *document = json_node_get_object (root);
  JsonArray *cases = json_object_get_array_member (document, "waits");
  g_assert_cmpuint (json_array_get_length (cases), >, 500);
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *one = json_array_get_object_element (cases, i);
      DscoreReconnectPolicy policy = policy_named (document, text_of (one, "policy"));
      double draw = number_of (one, "draw");
      double wait = dscore_reconnect_delay (&policy, row_named (text_of (one, "row")), (gint64) number_of (one, "n"), fixed_draw, &draw);
      assert_close (wait, number_of (one, "wait"));
    }
}

static void
test_hints (void)
{
  g_autoptr (JsonNode) root = load_vectors ("reconnect.json");
  JsonObject *document = json_node_get_object (root);
  DscoreReconnectPolicy policy = policy_named (document, "agent, exact");
  JsonArray *cases = json_object_get_array_member (document, "hints");
  double draw = 0;
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *one = json_array_get_object_element (cases, i);
      DscoreReconnector machine;
      dscore_reconnector_init (&machine, &policy, fixed_draw, &draw);
      dscore_reconnector_begin (&machine);
      dscore_reconnector_opened (&machine, 0);
      double hint = dscore_json_milliseconds (one, "reconnectAfter");
      if (hint >= 0)
        dscore_reconnector_hinted (&machine, hint);
      assert_close (dscore_reconnector_closed (&machine, 1001, "", 60), number_of (one, "wait"));
    }
}

/* Plays one step; the wait that follows, or NAN where none is asked for. */
static double
play (DscoreReconnector *machine, JsonObject *step)
{
  const char *event = text_of (step, "event");
  if (strcmp (event, "opened") == 0)
    dscore_reconnector_opened (machine, number_of (step, "now"));
  else if (strcmp (event, "due") == 0)
    dscore_reconnector_due (machine);
  else if (strcmp (event, "hinted") == 0)
    dscore_reconnector_hinted (machine, number_of (step, "seconds"));
  else if (strcmp (event, "renewed") == 0)
    return dscore_reconnector_renewed (machine);
  else if (strcmp (event, "refused") == 0)
    {
      double after = json_object_has_member (step, "retry_after") ? number_of (step, "retry_after") : DSCORE_NO_HINT;
      return dscore_reconnector_refused (machine, row_named (text_of (step, "row")), after);
    }
  else
    return dscore_reconnector_closed (machine, (guint) number_of (step, "code"), text_of (step, "reason"), number_of (step, "now"));
  return NAN;
}

static void
test_lives (void)
{
  g_autoptr (JsonNode) root = load_vectors ("reconnect.json");
  JsonObject *document = json_node_get_object (root);
  JsonArray *lives = json_object_get_array_member (document, "lives");
  double draw = 0;
  for (guint i = 0; i < json_array_get_length (lives); i++)
    {
      JsonObject *life = json_array_get_object_element (lives, i);
      DscoreReconnectPolicy policy = policy_named (document, text_of (life, "policy"));
      JsonArray *steps = json_object_get_array_member (life, "steps");
      DscoreReconnector machine;
      g_test_message ("%s", text_of (life, "name"));
      dscore_reconnector_init (&machine, &policy, fixed_draw, &draw);
      dscore_reconnector_begin (&machine);
      for (guint at = 0; at < json_array_get_length (steps); at++)
        {
          JsonObject *step = json_array_get_object_element (steps, at);
          double wait = play (&machine, step);
          g_assert_cmpint (dscore_reconnector_attempts (&machine), ==, (gint64) number_of (step, "attempts"));
          g_assert_true (isnan (wait) != json_object_has_member (step, "wait"));
          if (!isnan (wait))
            assert_close (wait, json_object_get_null_member (step, "wait") ? DSCORE_STAY_AWAY : number_of (step, "wait"));
        }
    }
}

static void
test_the_machine_refuses_what_is_not_in_its_table (void)
{
  double draw = 0;
  DscoreReconnector machine;
  dscore_reconnector_init (&machine, &dscore_reconnect_defaults, fixed_draw, &draw);
  g_test_expect_message ("dscore", G_LOG_LEVEL_CRITICAL, "reconnect: phase 0, not 3");
  dscore_reconnector_hinted (&machine, 5);
  g_test_assert_expected_messages ();
}

static void
test_draws_are_spread (void)
{
  double least = 1, most = 0;
  for (int i = 0; i < 1000; i++)
    {
      double draw = dscore_draw (NULL);
      g_assert_true (draw >= 0 && draw < 1);
      least = MIN (least, draw);
      most = MAX (most, draw);
    }
  g_assert_cmpfloat (most - least, >, 0.9);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/reconnect/defaults", test_defaults);
  g_test_add_func ("/reconnect/rows", test_rows);
  g_test_add_func ("/reconnect/waits", test_waits);
  g_test_add_func ("/reconnect/hints", test_hints);
  g_test_add_func ("/reconnect/lives", test_lives);
  g_test_add_func ("/reconnect/table", test_the_machine_refuses_what_is_not_in_its_table);
  g_test_add_func ("/reconnect/draws_are_spread", test_draws_are_spread);
  return g_test_run ();
}
