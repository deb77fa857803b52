"""The bus of a pipeline, read on an asyncio loop: GStreamer's messages in, `PipelineEvent`s out.

A bus has one reader. The bus of a launch string's pipeline is read here, through its poll
descriptor. Where a program watches the bus itself, taking messages would rob it of them: there,
`BusReader` only listens as they are posted, in the thread that posts them.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from dscore_agent.events import Kind, PipelineEvent
from dscore_agent.pipeline.gst import GLib, Gst

MESSAGES_PER_TURN = 100
"""So that an element that floods its bus cannot keep the loop from its other work."""
MAX_CAUSE = 200
"""Characters; elements put what they like into their debug text."""
MAX_TEXT = 4096
"""Characters of anything else that an element says."""

_STREAM_KINDS: dict[str, Kind] = {
    # DeepStream's messages: nvmultiurisrcbin posts the first two, nvstreammux the third.
    "stream-add": "stream_added",
    "stream-remove": "stream_removed",
    "stream-eos": "stream_eos",
}
_STREAM_FIELDS = ("source-id", "sensor-id", "sensor-name", "uri", "stream-id")
_HEARD = ("eos", "error", "warning", "element", "state-changed")


class BusReader:
    """Delivers the events of one pipeline's bus to the loop it was made on."""

    def __init__(
        self,
        pipeline: Gst.Pipeline,
        on_event: Callable[[PipelineEvent], None],
        on_playing: Callable[[], None],
    ) -> None:
        """Reads nothing yet; `drain` or `listen` does.

        Args:
            pipeline: Whose bus it is.
            on_event: Called on the loop with each event.
            on_playing: Called on the loop when the pipeline itself has reached PLAYING.
        """
        self._pipeline = pipeline
        self._bus = pipeline.get_bus()
        self._on_event = on_event
        self._on_playing = on_playing
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = None
        self._handlers: list[int] = []

    def drain(self) -> None:
        """Takes every message off the bus from now on."""
        self._descriptor = self._bus.get_pollfd().fd
        self._loop.add_reader(self._descriptor, self._take)

    def listen(self) -> None:
        """Reads every message from now on and leaves it on the bus for the program's own reader."""
        self._bus.enable_sync_message_emission()
        self._handlers = [self._bus.connect(f"sync-message::{name}", self._hear) for name in _HEARD]

    def close(self) -> None:
        """Takes what there is, then leaves the bus alone."""
        if self._descriptor is not None:
            self._take()
            self._loop.remove_reader(self._descriptor)
            self._descriptor = None
        if self._handlers:
            for handler in self._handlers:
                self._bus.disconnect(handler)
            self._handlers = []
            self._bus.disable_sync_message_emission()

    def _take(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            message = self._bus.pop()
            if message is None:
                return
            tell = self._read(message)
            if tell is not None:
                tell()

    def _hear(self, _bus: Gst.Bus, message: Gst.Message) -> None:
        # In a streaming thread, which must not wait for the loop: what the message says is copied.
        tell = self._read(message)
        if tell is not None:
            call_on(self._loop, tell)

    def _read(self, message: Gst.Message) -> Callable[[], None] | None:
        """What is to be called on the loop for a message."""
        if message.type == Gst.MessageType.STATE_CHANGED:
            ours = message.src == self._pipeline
            playing = ours and message.parse_state_changed()[1] == Gst.State.PLAYING
            return self._on_playing if playing else None
        event = self._event(message)
        return None if event is None else partial(self._on_event, event)

    def _event(self, message: Gst.Message) -> PipelineEvent | None:
        source = message.src.get_name()[:MAX_TEXT] if message.src is not None else "pipeline"
        if message.type == Gst.MessageType.EOS:
            # Bins inside the pipeline may forward those of their own sinks.
            ours = message.src == self._pipeline
            return PipelineEvent(kind="eos" if ours else "stream_eos", source=source)
        if message.type == Gst.MessageType.ERROR:
            return _fault("error", source, *message.parse_error())
        if message.type == Gst.MessageType.WARNING:
            return _fault("warning", source, *message.parse_warning())
        if message.type == Gst.MessageType.ELEMENT:
            return _stream_event(source, message.get_structure())
        return None


def is_watched(bus: Gst.Bus) -> bool:
    """A GLib main loop of the program takes the messages of this bus."""
    # A bus has room for one watch; there is no other way to ask.
    if bus.add_watch(GLib.PRIORITY_DEFAULT, lambda *_: True):
        bus.remove_watch()
        return False
    return True


def call_on(
    loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object
) -> None:
    """Calls a function on the loop, from any thread; on a loop that has ended, nothing happens."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def _fault(kind: Kind, source: str, error: GLib.Error, debug: str | None) -> PipelineEvent:
    debug = (debug or "")[:MAX_TEXT]
    details = {"domain": error.domain, "code": error.code, "debug": debug}
    # The first line of GStreamer's own is a place in its source code; behind it is the cause.
    cause = " ".join(debug.partition("\n")[2].split())[:MAX_CAUSE]
    said = error.message[:MAX_TEXT]
    message = f"{said} ({cause})" if cause else said
    return PipelineEvent(kind=kind, source=source, message=message, details=details)


def _stream_event(source: str, structure: Gst.Structure | None) -> PipelineEvent | None:
    kind = None if structure is None else _STREAM_KINDS.get(structure.get_name())
    if structure is None or kind is None:
        return None
    details: dict[str, Any] = {
        field.replace("-", "_"): _short(structure.get_value(field))
        for field in _STREAM_FIELDS
        if structure.has_field(field)
    }
    return PipelineEvent(kind=kind, source=source, details=details)


def _short(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value
