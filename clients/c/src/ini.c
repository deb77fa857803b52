/* The lines of a configuration file of the DeepStream contract: one section of an INI file, with line numbers.
 *
 * GKeyFile refuses `;` comments, keeps trailing blanks and forgets where a value stood. The cases are those of Python's reader,
 * in tests/vectors/ini.json. */
#include "ini.h"

#include "file.h"
#include "similar.h"

#include <string.h>

static gboolean
is_boundary (gunichar c)
{
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static gboolean
is_space (gunichar c)
{
  return g_unichar_isspace (c) || is_boundary (c) || c == 0x1f;
}

char *
dscore_ini_strip (const char *text, gsize size)
{
  const char *end = text + size;
  while (text < end && is_space (g_utf8_get_char (text)))
    text = g_utf8_next_char (text);
  while (end > text)
    {
      const char *last = g_utf8_find_prev_char (text, end);
      if (last == NULL || !is_space (g_utf8_get_char (last)))
        break;
      end = last;
    }
  return g_strndup (text, (gsize) (end - text));
}

static void
entry_free (gpointer data)
{
  DscoreIniEntry *entry = data;
  g_free (entry->key);
  g_free (entry->value);
  g_free (entry);
}

typedef struct {
  const char *name;
  GPtrArray *entries;
  GHashTable *first; /* the entries by their keys */
  GPtrArray *problems;
  char *section;
  gboolean found;
  char *near; /* a section that looks like a slip of ours */
} Reading;

static void
take_section (Reading *self, const char *line, guint number)
{
  gsize size = strlen (line);
  g_free (self->section);
  self->section = size > 1 && line[size - 1] == ']' ? dscore_ini_strip (line + 1, size - 2) : g_strdup ("");
  self->found |= strcmp (self->section, DSCORE_INI_SECTION) == 0;
  g_autofree char *lower = g_utf8_strdown (self->section, -1);
  if (dscore_similarity (DSCORE_INI_SECTION, lower) >= 0.6)
    {
      g_free (self->near);
      self->near = g_strdup_printf ("%s:%u: [%s]: did you mean [" DSCORE_INI_SECTION "]?", self->name, number, self->section);
    }
  if (*self->section == '\0')
    g_ptr_array_add (self->problems, g_strdup_printf ("%s:%u: a section is written [name]", self->name, number));
}

static void
take_setting (Reading *self, const char *line, guint number)
{
  const gsize size = strcspn (line, "=");
  const char *value = line + size + (line[size] == '=');
  g_autofree char *key = line[size] == '=' ? dscore_ini_strip (line, size) : g_strdup ("");
  const DscoreIniEntry *first;
  if (*key == '\0')
    g_ptr_array_add (self->problems, g_strdup_printf ("%s:%u: a setting is written key=value", self->name, number));
  else if ((first = g_hash_table_lookup (self->first, key)) != NULL)
    g_ptr_array_add (self->problems, g_strdup_printf ("%s:%u: %s is given twice, first in line %u", self->name, number, key, first->line));
  else
    {
      DscoreIniEntry *entry = g_new (DscoreIniEntry, 1);
      entry->value = dscore_ini_strip (value, strlen (value));
      entry->key = g_steal_pointer (&key);
      entry->line = number;
      g_ptr_array_add (self->entries, entry);
      g_hash_table_insert (self->first, entry->key, entry);
    }
}

static void
take_line (Reading *self, const char *line, guint number)
{
  if (*line == '\0' || *line == '#' || *line == ';')
    return;
  if (*line == '[')
    take_section (self, line, number);
  else if (strcmp (self->section, DSCORE_INI_SECTION) == 0)
    take_setting (self, line, number);
}

GPtrArray *
dscore_ini_parse (const char *text, const char *name, GPtrArray *problems)
{
  Reading self = { .name = name, .problems = problems, .section = g_strdup ("") };
  self.entries = g_ptr_array_new_with_free_func (entry_free);
  self.first = g_hash_table_new (g_str_hash, g_str_equal);
  guint number = 0;
  for (const char *start = text; *start != '\0';)
    {
      const char *end = start;
      while (*end != '\0' && !is_boundary (g_utf8_get_char (end)))
        end = g_utf8_next_char (end);
      g_autofree char *line = dscore_ini_strip (start, (gsize) (end - start));
      take_line (&self, line, ++number);
      if (end[0] == '\r' && end[1] == '\n')
        end++;
      start = *end == '\0' ? end : g_utf8_next_char (end);
    }
  if (!self.found)
    g_ptr_array_add (problems, self.near != NULL ? g_steal_pointer (&self.near)
                                                 : g_strdup_printf ("%s: there is no section [" DSCORE_INI_SECTION "]", name));
  g_free (self.near);
  g_free (self.section);
  g_hash_table_unref (self.first);
  return self.entries;
}

GPtrArray *
dscore_ini_read (const char *path, GPtrArray *problems)
{
  g_autofree char *problem = NULL;
  gsize size = 0;
  g_autofree char *text = dscore_file_read (path, DSCORE_CONFIG_BYTES, &size, &problem);
  if (text == NULL)
    {
      g_ptr_array_add (problems, g_strdup_printf ("cannot read %s: %s", path, problem));
      return NULL;
    }
  const char *start = g_str_has_prefix (text, "\xef\xbb\xbf") ? text + 3 : text;
  if (!g_utf8_validate (start, (gssize) (size - (gsize) (start - text)), NULL))
    {
      g_ptr_array_add (problems, g_strdup_printf ("cannot read %s: it is not UTF-8 text", path));
      return NULL;
    }
  return dscore_ini_parse (start, path, problems);
}
