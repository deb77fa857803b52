"""A GStreamer pipeline under an agent. The one package that needs `gi`.

`binding` is what a program uses. In the order of reading: `gst` loads GStreamer, `bus` hears the
pipeline, `walk` looks into it, `flow` sees what moves in it, `tracks` describes those without data,
`eos` ends its sources, `stop` brings it to a standstill, `forced` ends the process where it hangs,
`report` tells the server, `glib` turns a main context that is turned nowhere else. Above `binding`,
`group` is several under one agent, `keeper` one that is built anew where it ends unasked.
"""

from dscore_agent.errors import PipelineError
from dscore_agent.events import PipelineEvent, StopReport
from dscore_agent.pipeline.binding import PipelineBinding

__all__ = ["PipelineBinding", "PipelineError", "PipelineEvent", "StopReport"]
