/* JSON from the network: strict bytes first, then json-glib.
 *
 * json-glib alone takes single quotes, comments and hexadecimal numbers, and recurses without a bound; this scan lets nothing
 * through that another reader would understand otherwise. A NUL within a string is refused: C would lose what follows it. So is a
 * text that becomes far more memory than it has bytes: of 10 MB of `{},` json-glib makes more than a gigabyte. */
#include "json.h"

#include "dscore-types.h"

#include <math.h>
#include <string.h>

/* Bytes that json-glib takes for a value besides its text, about. */
#define SCALAR_BYTES 128
#define BRACKET_BYTES 400

typedef struct {
  const guint8 *at;
  const guint8 *end;
  guint64 objects; /* a bit for each open bracket: an object's */
  guint depth;
  gsize bytes; /* of all values so far */
  const char *fault;
} Scan;

static gboolean
fail (Scan *scan, const char *fault)
{
  if (scan->fault == NULL)
    scan->fault = fault;
  return FALSE;
}

static void
skip_space (Scan *scan)
{
  while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
    scan->at++;
}

static int
peek (const Scan *scan)
{
  return scan->at < scan->end ? *scan->at : -1;
}

/* The four digits after \u, or -1. */
static int
unit (Scan *scan)
{
  int value = 0;
  if (scan->end - scan->at < 4)
    return -1;
  for (int i = 0; i < 4; i++)
    {
      int digit = g_ascii_xdigit_value ((char) *scan->at++);
      if (digit < 0)
        return -1;
      value = value * 16 + digit;
    }
  return value;
}

static gboolean
scan_unicode (Scan *scan)
{
  int first = unit (scan);
  if (first < 0)
    return fail (scan, "a broken escape");
  if (first == 0)
    return fail (scan, "a NUL in a string");
  if (first < 0xd800 || first > 0xdfff)
    return TRUE;
  if (first > 0xdbff || scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u')
    return fail (scan, "a lone surrogate");
  scan->at += 2;
  int second = unit (scan);
  return (second >= 0xdc00 && second <= 0xdfff) || fail (scan, "a lone surrogate");
}

static gboolean
scan_escape (Scan *scan)
{
  int c = peek (scan);
  if (c < 0 || strchr ("\"\\/bfnrtu", c) == NULL)
    return fail (scan, "an unknown escape");
  scan->at++;
  return c != 'u' || scan_unicode (scan);
}

static gboolean
scan_string (Scan *scan)
{
  if (peek (scan) != '"')
    return fail (scan, "a string is missing");
  scan->at++;
  while (scan->at < scan->end)
    {
      guint8 c = *scan->at++;
      if (c == '"')
        return TRUE;
      if (c < 0x20)
        return fail (scan, "a control character in a string");
      if (c == '\\' && !scan_escape (scan))
        return FALSE;
    }
  return fail (scan, "a string does not end");
}

static gboolean
scan_digits (Scan *scan)
{
  const guint8 *start = scan->at;
  while (scan->at < scan->end && g_ascii_isdigit (*scan->at))
    scan->at++;
  return scan->at > start || fail (scan, "a broken number");
}

static gboolean
scan_number (Scan *scan)
{
  if (peek (scan) == '-')
    scan->at++;
  if (peek (scan) == '0')
    scan->at++;
  else if (!scan_digits (scan))
    return FALSE;
  if (peek (scan) == '.')
    {
      scan->at++;
      if (!scan_digits (scan))
        return FALSE;
    }
  if (peek (scan) == 'e' || peek (scan) == 'E')
    {
      scan->at++;
      if (peek (scan) == '+' || peek (scan) == '-')
        scan->at++;
      return scan_digits (scan);
    }
  return TRUE;
}

static gboolean
scan_word (Scan *scan, const char *word)
{
  gsize size = strlen (word);
  if ((gsize) (scan->end - scan->at) < size || memcmp (scan->at, word, size) != 0)
    return fail (scan, "an unknown word");
  scan->at += size;
  return TRUE;
}

static gboolean
scan_scalar (Scan *scan)
{
  switch (peek (scan))
    {
    case '"': return scan_string (scan);
    case 't': return scan_word (scan, "true");
    case 'f': return scan_word (scan, "false");
    case 'n': return scan_word (scan, "null");
    case -1: return fail (scan, "a value is missing");
    default: return scan_number (scan);
    }
}

static gboolean
scan_key (Scan *scan)
{
  skip_space (scan);
  if (!scan_string (scan))
    return FALSE;
  skip_space (scan);
  if (peek (scan) != ':')
    return fail (scan, "a colon is missing");
  scan->at++;
  return TRUE;
}

/* Opens a bracket; TRUE in `empty`: it is closed again already. */
static gboolean
open_bracket (Scan *scan, gboolean *empty)
{
  gboolean object = *scan->at++ == '{';
  skip_space (scan);
  *empty = peek (scan) == (object ? '}' : ']');
  if (*empty)
    {
      scan->at++;
      return TRUE;
    }
  if (scan->depth == DSCORE_JSON_DEPTH)
    return fail (scan, "too deep");
  scan->objects = scan->objects << 1 | (guint64) object;
  scan->depth++;
  return !object || scan_key (scan);
}

/* After a value: closes brackets until another value is due, or all is closed. */
static gboolean
after_value (Scan *scan)
{
  while (scan->depth > 0)
    {
      gboolean object = scan->objects & 1;
      skip_space (scan);
      int c = peek (scan);
      if (c == ',')
        {
          scan->at++;
          return !object || scan_key (scan);
        }
      if (c != (object ? '}' : ']'))
        return fail (scan, "a comma or bracket is missing");
      scan->at++;
      scan->objects >>= 1;
      scan->depth--;
    }
  return TRUE;
}

/* A value, or the bracket that opens it, and what closes after it. */
static gboolean
scan_value (Scan *scan)
{
  gboolean whole = TRUE;
  skip_space (scan);
  if (peek (scan) == '{' || peek (scan) == '[')
    {
      scan->bytes += BRACKET_BYTES;
      if (!open_bracket (scan, &whole))
        return FALSE;
    }
  else
    {
      scan->bytes += SCALAR_BYTES;
      if (!scan_scalar (scan))
        return FALSE;
    }
  if (scan->bytes > DSCORE_JSON_BYTES)
    return fail (scan, "too many values");
  return !whole || after_value (scan);
}

static const char *
scan_all (const char *text, gsize size, gsize *bytes)
{
  Scan scan = { .at = (const guint8 *) text, .end = (const guint8 *) text + size };
  do
    if (!scan_value (&scan))
      return scan.fault;
  while (scan.depth > 0);
  skip_space (&scan);
  *bytes = scan.bytes + size;
  if (scan.at != scan.end)
    return "something follows the value";
  return g_utf8_validate (text, (gssize) size, NULL) ? NULL : "not UTF-8";
}

const char *
dscore_json_fault (const char *text, gsize size)
{
  gsize bytes;
  return scan_all (text, size, &bytes);
}

JsonObject *
dscore_json_object (const char *text, gsize size, gsize *bytes, GError **error)
{
  gsize taken;
  const char *fault = scan_all (text, size, bytes != NULL ? bytes : &taken);
  g_autoptr (JsonParser) parser = NULL;
  if (fault == NULL)
    {
      g_autoptr (GError) cause = NULL;
      parser = json_parser_new_immutable ();
      if (!json_parser_load_from_data (parser, text, (gssize) size, &cause))
        fault = "json-glib does not take it";
    }
  if (fault != NULL)
    {
      g_set_error (error, DSCORE_ERROR, DSCORE_ERROR_MESSAGE, "a message must be JSON: %s", fault);
      return NULL;
    }
  JsonNode *root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root) || dscore_json_string (json_node_get_object (root), "type") == NULL)
    {
      g_set_error_literal (error, DSCORE_ERROR, DSCORE_ERROR_MESSAGE, "a message is an object with a string 'type'");
      return NULL;
    }
  return json_node_dup_object (root);
}

char *
dscore_json_text (JsonObject *object, gsize *size)
{
  g_autoptr (JsonNode) root = json_node_init_object (json_node_alloc (), object);
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  json_generator_set_root (generator, root);
  return json_generator_to_data (generator, size);
}

static JsonNode *
member (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);
  return node != NULL && JSON_NODE_HOLDS_VALUE (node) ? node : NULL;
}

const char *
dscore_json_string (JsonObject *object, const char *name)
{
  JsonNode *node = member (object, name);
  return node != NULL && json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : NULL;
}

gboolean
dscore_json_is_true (JsonObject *object, const char *name)
{
  JsonNode *node = member (object, name);
  return node != NULL && json_node_get_value_type (node) == G_TYPE_BOOLEAN && json_node_get_boolean (node);
}

double
dscore_json_milliseconds (JsonObject *object, const char *name)
{
  JsonNode *node = member (object, name);
  if (node == NULL || (json_node_get_value_type (node) != G_TYPE_INT64 && json_node_get_value_type (node) != G_TYPE_DOUBLE))
    return -1;
  double value = json_node_get_double (node);
  return isfinite (value) && value >= 0 ? value / 1000 : -1;
}
