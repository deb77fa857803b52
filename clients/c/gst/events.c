/* GStreamer's messages in, events of a pipeline out. */
#include "events.h"

#include <string.h>

/* Bytes; elements put what they like into their texts. */
#define LONGEST_CAUSE 200
#define LONGEST_TEXT 4096

/* DeepStream's messages: nvmultiurisrcbin posts the first two, nvstreammux the third. */
static const struct {
  const char *name;
  DscorePipelineKind kind;
} STREAMS[] = {
  { "stream-add", DSCORE_PIPELINE_STREAM_ADDED },
  { "stream-remove", DSCORE_PIPELINE_STREAM_REMOVED },
  { "stream-eos", DSCORE_PIPELINE_STREAM_EOS },
};

static const char *const STREAM_FIELDS[] = { "source-id", "sensor-id", "sensor-name", "uri", "stream-id" };

static const char *const KINDS[] = { "error", "warning", "eos", "stream_added", "stream_removed", "stream_eos" };

const char *
dscore_pipeline_kind_to_string (DscorePipelineKind kind)
{
  return KINDS[kind];
}

/* Valid UTF-8 of at most so many bytes: what is to be JSON. */
static char *
bounded (const char *text, gsize length)
{
  char *valid = g_utf8_make_valid (text, (gssize) strnlen (text, length));
  gsize end = strnlen (valid, length);

  while (end > 0 && valid[end] != '\0' && ((guchar) valid[end] & 0xc0) == 0x80)
    end--;
  valid[end] = '\0';
  return valid;
}

DscorePipelineEvent *
dscore_pipeline_event_new (DscorePipelineKind kind, const char *source)
{
  DscorePipelineEvent *event = g_new0 (DscorePipelineEvent, 1);

  event->kind = kind;
  event->source = bounded (source == NULL ? "" : source, LONGEST_TEXT);
  event->message = g_strdup ("");
  event->details = json_object_new ();
  return event;
}

void
dscore_pipeline_event_free (DscorePipelineEvent *event)
{
  g_free (event->source);
  g_free (event->message);
  json_object_unref (event->details);
  g_free (event);
}

char *
dscore_pipeline_event_to_string (const DscorePipelineEvent *event)
{
  return g_strdup_printf ("%s from %s%s%s", KINDS[event->kind], event->source, event->message[0] == '\0' ? "" : ": ",
                          event->message);
}

JsonObject *
dscore_pipeline_event_to_message (const DscorePipelineEvent *event)
{
  JsonObject *message = json_object_new ();

  json_object_set_string_member (message, "type", "pipeline_event");
  json_object_set_string_member (message, "kind", KINDS[event->kind]);
  json_object_set_string_member (message, "source", event->source);
  json_object_set_string_member (message, "message", event->message);
  json_object_set_object_member (message, "details", json_object_ref (event->details));
  return message;
}

/* The first line of GStreamer's own is a place in its source code; behind it is the cause. */
static char *
cause_of (const char *debug)
{
  const char *rest = strchr (debug, '\n');
  g_auto (GStrv) words = g_strsplit_set (rest == NULL ? "" : rest, " \t\r\n", -1);
  GString *cause = g_string_new (NULL);

  for (guint i = 0; words[i] != NULL; i++)
    if (words[i][0] != '\0')
      g_string_append_printf (cause, "%s%s", cause->len == 0 ? "" : " ", words[i]);
  return g_string_free (cause, FALSE);
}

static DscorePipelineEvent *
read_fault (DscorePipelineKind kind, const char *source, GstMessage *message)
{
  DscorePipelineEvent *event = dscore_pipeline_event_new (kind, source);
  GError *error = NULL;
  char *debug = NULL, *text, *cause, *shown, *said;

  if (kind == DSCORE_PIPELINE_ERROR)
    gst_message_parse_error (message, &error, &debug);
  else
    gst_message_parse_warning (message, &error, &debug);
  text = bounded (debug == NULL ? "" : debug, LONGEST_TEXT);
  cause = cause_of (text);
  shown = bounded (cause, LONGEST_CAUSE);
  said = bounded (error == NULL ? "" : error->message, LONGEST_TEXT);
  g_free (event->message);
  event->message = shown[0] == '\0' ? g_strdup (said) : g_strdup_printf ("%s (%s)", said, shown);
  if (error != NULL) {
    json_object_set_string_member (event->details, "domain", g_quark_to_string (error->domain));
    json_object_set_int_member (event->details, "code", error->code);
  }
  json_object_set_string_member (event->details, "debug", text);
  g_free (said);
  g_free (shown);
  g_free (cause);
  g_free (text);
  g_free (debug);
  g_clear_error (&error);
  return event;
}

static void
copy_field (JsonObject *details, const GstStructure *structure, const char *field)
{
  const GValue *value = gst_structure_get_value (structure, field);
  g_autofree char *name = g_strdelimit (g_strdup (field), "-", '_');
  GValue number = G_VALUE_INIT;

  if (value == NULL)
    return;
  if (G_VALUE_HOLDS_STRING (value)) {
    const char *string = g_value_get_string (value);
    g_autofree char *text = bounded (string == NULL ? "" : string, LONGEST_TEXT);

    json_object_set_string_member (details, name, text);
    return;
  }
  g_value_init (&number, G_TYPE_INT64);
  if (g_value_transform (value, &number))
    json_object_set_int_member (details, name, g_value_get_int64 (&number));
  g_value_unset (&number);
}

static DscorePipelineEvent *
read_stream_event (const char *source, const GstStructure *structure)
{
  for (guint i = 0; structure != NULL && i < G_N_ELEMENTS (STREAMS); i++) {
    DscorePipelineEvent *event;

    if (!gst_structure_has_name (structure, STREAMS[i].name))
      continue;
    event = dscore_pipeline_event_new (STREAMS[i].kind, source);
    for (guint k = 0; k < G_N_ELEMENTS (STREAM_FIELDS); k++)
      copy_field (event->details, structure, STREAM_FIELDS[k]);
    return event;
  }
  return NULL;
}

DscorePipelineEvent *
dscore_pipeline_event_read (gconstpointer pipeline, GstMessage *message)
{
  const char *source = GST_MESSAGE_SRC (message) == NULL ? "pipeline" : GST_MESSAGE_SRC_NAME (message);

  switch (GST_MESSAGE_TYPE (message)) {
  case GST_MESSAGE_EOS:
    /* Bins inside the pipeline may forward those of their own sinks. */
    return dscore_pipeline_event_new (
      (gconstpointer) GST_MESSAGE_SRC (message) == pipeline ? DSCORE_PIPELINE_EOS : DSCORE_PIPELINE_STREAM_EOS, source);
  case GST_MESSAGE_ERROR:
    return read_fault (DSCORE_PIPELINE_ERROR, source, message);
  case GST_MESSAGE_WARNING:
    return read_fault (DSCORE_PIPELINE_WARNING, source, message);
  case GST_MESSAGE_ELEMENT:
    return read_stream_event (source, gst_message_get_structure (message));
  default:
    return NULL;
  }
}
