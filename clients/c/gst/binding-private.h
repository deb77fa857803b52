/* What the program needs of a binding, and other programs do not. */
#pragma once

#include "attachment.h"
#include "dscore-gst.h"

G_BEGIN_DECLS

/* The attachment of a pipeline that is bound; NULL: it is not. */
DscoreAttachment *dscore_gst_binding_lookup (DscoreGstBinding *self, GstPipeline *pipeline);

G_END_DECLS
