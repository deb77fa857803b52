"""A GStreamer pipeline under an agent. The one package that needs `gi`.

`binding` is what a program uses. In the order of reading: `gst` loads GStreamer, `bus` hears the
pipeline, `walk` looks into it, `eos` ends its sources, `stop` brings it to a standstill, `report`
tells the server, `glib` turns a main context that nobody else does.
"""

from dscore.agent.events import PipelineError, PipelineEvent, StopReport
from dscore.agent.pipeline.binding import PipelineBinding

__all__ = ["PipelineBinding", "PipelineError", "PipelineEvent", "StopReport"]
