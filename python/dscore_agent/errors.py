"""Every exception a caller of the agent may meet.

AgentError
├── ConfigError (also ValueError)   a setting is wrong; says which, and the remedy
└── PipelineError                   a pipeline cannot be built or started; names the element
"""


class AgentError(Exception):
    """Base of the errors that the agent raises."""


class ConfigError(AgentError, ValueError):
    """A setting is wrong.

    Attributes:
        problems: every problem found, one line each; the message is the first.
    """

    def __init__(self, *problems: str) -> None:
        more = len(problems) - 1
        plural = "s" if more > 1 else ""
        super().__init__(problems[0] + (f" (and {more} more problem{plural})" if more else ""))
        self.problems = problems


class PipelineError(AgentError):
    """The pipeline cannot be built or started; names the element, as GStreamer does."""
