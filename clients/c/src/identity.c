/* Which machine this is, when no setting says so. */
#include "identity.h"

#include "file.h"

#include <string.h>

#define MAX_HOST 100
#define MAX_LINE 4096

/* Without the blanks around it; NULL: it cannot be read. */
static char *
read_line (const char *path)
{
  g_autofree char *problem = NULL;
  gsize size;
  char *text = dscore_file_read (path, MAX_LINE, &size, &problem);
  return text == NULL ? NULL : g_strstrip (text);
}

/* The hardware address of the first interface that has one, in twelve digits: containers often have no machine id. */
static char *
hardware_address (void)
{
  g_autoptr (GDir) interfaces = g_dir_open ("/sys/class/net", 0, NULL);
  const char *name;
  while (interfaces != NULL && (name = g_dir_read_name (interfaces)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/sys/class/net", name, "address", NULL);
      g_autofree char *text = read_line (path);
      if (text == NULL || g_str_has_prefix (text, "00:00:00:00:00:00"))
        continue;
      g_auto (GStrv) parts = g_strsplit (text, ":", -1);
      if (g_strv_length (parts) == 6)
        return g_strjoinv ("", parts);
    }
  return g_strdup ("000000000000");
}

static char *
machine_id (const char *const *paths)
{
  for (; *paths != NULL; paths++)
    {
      g_autofree char *text = read_line (*paths);
      if (text != NULL && *text != '\0')
        return g_steal_pointer (&text);
    }
  return hardware_address ();
}

char *
dscore_default_instance_id (const char *hostname, const char *const *machine_ids)
{
  static const char *const usual[] = { "/etc/machine-id", "/var/lib/dbus/machine-id", NULL };
  if (hostname == NULL || *hostname == '\0')
    hostname = *g_get_host_name () == '\0' ? "agent" : g_get_host_name ();
  g_autofree char *id = machine_id (machine_ids != NULL ? machine_ids : usual);
  /* Hashed: machine-id(5) asks not to show the id itself to others. */
  g_autofree char *secret = g_strconcat ("dscore-agent:", id, NULL);
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, secret, -1);
  g_autofree char *host = g_utf8_make_valid (hostname, -1);
  if (g_utf8_strlen (host, -1) > MAX_HOST)
    *g_utf8_offset_to_pointer (host, MAX_HOST) = '\0';
  return g_strdup_printf ("%s-%.8s", host, digest);
}
