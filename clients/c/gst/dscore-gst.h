/* libdscore-gst: the pipelines of a program under its agent. */
#pragma once

#include <dscore.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define DSCORE_TYPE_GST_BINDING (dscore_gst_binding_get_type ())
/**
 * DscoreGstBinding:
 *
 * The GStreamer pipelines of a program, bound to its agent: told to terminate, the agent has all of them stopped side by side,
 * every stream played to its end, and answers for them. The program plays them, reads their buses and runs its main loop as
 * ever. Every function may be called from any thread; nothing here needs the main loop to turn.
 */
DSCORE_API G_DECLARE_FINAL_TYPE (DscoreGstBinding, dscore_gst_binding, DSCORE, GST_BINDING, GObject)

DSCORE_API DscoreGstBinding *dscore_gst_binding_new (DscoreAgent *agent);
DSCORE_API void dscore_gst_binding_add (DscoreGstBinding *self, GstPipeline *pipeline, const char *name);
DSCORE_API void dscore_gst_binding_remove (DscoreGstBinding *self, GstPipeline *pipeline);
DSCORE_API void dscore_gst_binding_set_force_exit (DscoreGstBinding *self, gboolean force_exit);

G_END_DECLS
