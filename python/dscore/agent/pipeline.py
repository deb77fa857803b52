"""`dscore_agent.pipeline` under its former name."""

from dscore_agent.pipeline import PipelineBinding, PipelineError, PipelineEvent, StopReport

__all__ = ["PipelineBinding", "PipelineError", "PipelineEvent", "StopReport"]
