/* Labels in `app_config`: found at start, for the server leaves out what does not fit without a word. */
#include "labels.h"

#include "json.h"

#include <string.h>

#define MAX_LABELS 16
#define MAX_NAME 63   /* characters */
#define MAX_VALUE 128 /* characters */

/* NULL: it fits. */
static char *
fault_of (JsonObject *labels, const char *name)
{
  const char *value = dscore_json_string (labels, name);
  glong size = g_utf8_strlen (name, -1);
  if (value == NULL)
    return g_strdup_printf ("labels.%s must be a text", name);
  if (size == 0 || size > MAX_NAME || strchr (name, '=') != NULL)
    return g_strdup_printf ("labels.%s must have a name of 1 to %d characters without =", name, MAX_NAME);
  if (g_utf8_strlen (value, -1) > MAX_VALUE)
    return g_strdup_printf ("labels.%s must have at most %d characters", name, MAX_VALUE);
  return NULL;
}

GPtrArray *
dscore_labels_faults (JsonObject *app_config)
{
  GPtrArray *faults = g_ptr_array_new_with_free_func (g_free);
  JsonNode *member = json_object_get_member (app_config, "labels");
  if (member == NULL)
    return faults;
  if (!JSON_NODE_HOLDS_OBJECT (member))
    {
      g_ptr_array_add (faults, g_strdup ("labels must be an object of short texts"));
      return faults;
    }
  JsonObject *labels = json_node_get_object (member);
  g_autoptr (GList) names = json_object_get_members (labels);
  for (GList *name = names; name != NULL; name = name->next)
    {
      char *fault = fault_of (labels, name->data);
      if (fault != NULL)
        g_ptr_array_add (faults, fault);
    }
  if (json_object_get_size (labels) - faults->len > MAX_LABELS)
    g_ptr_array_add (faults, g_strdup_printf ("labels must be at most %d", MAX_LABELS));
  return faults;
}
