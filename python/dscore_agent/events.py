"""What a pipeline tells: its events, and how it was stopped. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dscore_agent.termination import ERROR, OK, TerminateAnswer

Kind = Literal["error", "warning", "eos", "stream_added", "stream_removed", "stream_eos"]


@dataclass(frozen=True, kw_only=True)
class PipelineEvent:
    """Something that happened in a pipeline.

    Attributes:
        kind: `eos` is the whole pipeline's, `stream_eos` that of one stream of several.
        source: Name of the element that told it.
        message: For people.
        details: The debug text of an error, the ids of a stream.
    """

    kind: Kind
    source: str
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} from {self.source}" + (f": {self.message}" if self.message else "")

    def as_message(self) -> dict[str, Any]:
        """The event as a message to the server, whose policy gets it in `on_message`."""
        return {
            "type": "pipeline_event",
            "kind": self.kind,
            "source": self.source,
            "message": self.message,
            "details": dict(self.details),
        }


@dataclass(frozen=True, kw_only=True)
class StopReport:
    """How a pipeline was stopped.

    Attributes:
        ok: It stands still and has let go of everything. False: something hangs in it.
        complete: Every stream was played to its end: nothing of a recording is missing.
        message: For the server and its operators.
        eos_seconds: How long the streams took to end.
        null_seconds: How long the elements took to stop after that.
    """

    ok: bool
    complete: bool
    message: str
    eos_seconds: float
    null_seconds: float

    def as_answer(self) -> TerminateAnswer:
        """The answer to terminate_app."""
        return TerminateAnswer(OK if self.ok else ERROR, self.message, self.ok and self.complete)
