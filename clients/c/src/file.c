/* Files that people name: one that is no file at all must neither hold its reader up nor fill the memory.
 *
 * A FIFO blocks its reader until there is a writer, /dev/zero has no end; either may stand where a token stood a minute ago. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
words_of_errno (void)
{
  return g_utf8_strdown (g_strerror (errno), -1);
}

/* FALSE: errno says why. */
static gboolean
read_all (int descriptor, gsize limit, GString *content)
{
  char part[4096];
  while (content->len <= limit)
    {
      gssize size = read (descriptor, part, sizeof part);
      if (size == 0)
        return TRUE;
      if (size > 0)
        g_string_append_len (content, part, size);
      else if (errno != EINTR)
        return FALSE;
    }
  return TRUE;
}

static char *
read_open (int descriptor, gsize limit, gsize *size, char **problem)
{
  struct stat about;
  g_autoptr (GString) content = g_string_new (NULL);
  if (fstat (descriptor, &about) == 0 && !S_ISREG (about.st_mode))
    *problem = g_strdup ("it is not a regular file");
  /* Its size is not asked for: that of /proc's is 0. */
  else if (!read_all (descriptor, limit, content))
    *problem = words_of_errno ();
  else if (content->len > limit)
    *problem = g_strdup_printf ("it has more than %" G_GSIZE_FORMAT " bytes", limit);
  else
    {
      *size = content->len;
      return g_string_free (g_steal_pointer (&content), FALSE);
    }
  return NULL;
}

char *
dscore_file_read (const char *path, gsize limit, gsize *size, char **problem)
{
  int descriptor = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0)
    {
      *problem = words_of_errno ();
      return NULL;
    }
  char *content = read_open (descriptor, limit, size, problem);
  close (descriptor);
  return content;
}
