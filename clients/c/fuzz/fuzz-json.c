/* A server's text as a message: what the scan lets through, json-glib reads, writes, and reads again. And as an INI file. */
#include "ini.h"
#include "json.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_malloc (size + 1);
  memcpy (text, data, size);
  text[size] = '\0';
  g_autoptr (JsonObject) message = dscore_json_object (text, size, NULL, NULL);
  if (message != NULL)
    {
      gsize written;
      g_autofree char *again = dscore_json_text (message, &written);
      (void) dscore_json_milliseconds (message, "reconnectAfter");
      (void) dscore_json_is_true (message, "session_restored");
      if (strstr (again, "inf") == NULL && strstr (again, "nan") == NULL)
        {
          g_autoptr (JsonObject) same = dscore_json_object (again, written, NULL, NULL);
          g_assert (same != NULL);
        }
    }
  if (g_utf8_validate (text, -1, NULL))
    {
      g_autoptr (GPtrArray) problems = g_ptr_array_new_with_free_func (g_free);
      g_ptr_array_unref (dscore_ini_parse (text, "fuzz", problems));
    }
  return 0;
}
