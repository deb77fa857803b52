/* Addresses of servers and proxies. What has a blank, a control character or a fragment in it is none. */
#include "url.h"

#include <string.h>

static gboolean
take_port (DscoreUrl *self, const char *text)
{
  guint64 port;
  if (*text == '\0')
    return TRUE;
  if (!g_ascii_string_to_unsigned (text, 10, 1, 65535, &port, NULL) || *text == '+')
    return FALSE;
  self->port = (guint) port;
  return TRUE;
}

static gboolean
take_host (DscoreUrl *self, const char *text)
{
  const char *colon;
  if (*text == '[')
    {
      const char *bracket = strchr (text, ']');
      if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
        return FALSE;
      self->host = g_strndup (text + 1, (gsize) (bracket - text - 1));
      colon = bracket[1] == ':' ? bracket + 1 : NULL;
    }
  else
    {
      colon = strchr (text, ':');
      self->host = colon == NULL ? g_strdup (text) : g_strndup (text, (gsize) (colon - text));
    }
  return *self->host != '\0' && (colon == NULL || take_port (self, colon + 1));
}

static gboolean
read_url (DscoreUrl *self, const char *text)
{
  for (const char *at = text; *at != '\0'; at++)
    if ((guchar) *at <= ' ' || *at == 0x7f || *at == '#' || *at == '\\')
      return FALSE;
  const char *start = strstr (text, "://");
  if (start == NULL || start == text)
    return FALSE;
  self->scheme = g_ascii_strdown (text, start - text);
  start += 3;
  gsize size = strcspn (start, "/?");
  g_autofree char *authority = g_strndup (start, size);
  const char *at_sign = strrchr (authority, '@');
  const char *query = strchr (start + size, '?');
  self->path = query == NULL ? g_strdup (start + size) : g_strndup (start + size, (gsize) (query - start) - size);
  self->query = query == NULL ? NULL : g_strdup (query + 1);
  self->has_user = at_sign != NULL;
  return take_host (self, at_sign == NULL ? authority : at_sign + 1);
}

DscoreUrl *
dscore_url_parse (const char *text)
{
  DscoreUrl *self = g_new0 (DscoreUrl, 1);
  if (read_url (self, text))
    return self;
  dscore_url_free (self);
  return NULL;
}

void
dscore_url_free (DscoreUrl *self)
{
  if (self == NULL)
    return;
  g_free (self->scheme);
  g_free (self->host);
  g_free (self->path);
  g_free (self->query);
  g_free (self);
}
