"""Tells the server what happens in a pipeline, within measure."""

import time
from collections.abc import Callable, Collection
from typing import Any

from dscore_agent.events import Kind, PipelineEvent
from dscore_agent.log import Log

EVENTS_PER_SECOND = 10
"""An element in trouble may warn a thousand times a second; the link has more to carry."""

_log = Log("dscore.agent.pipeline")


class Reporter:
    """Sends events of some kinds, and counts those it kept back."""

    def __init__(
        self,
        send: Callable[[dict[str, Any]], object],
        kinds: Collection[Kind],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reports nothing yet; `see` does.

        Args:
            send: `Agent.send`, or anything like it.
            kinds: Events of other kinds stay here.
            clock: Seconds.
        """
        self._send = send
        self._kinds = frozenset(kinds)
        self._clock = clock
        self._second = 0
        self._sent = 0
        self._kept_back = 0

    def see(self, event: PipelineEvent) -> None:
        """Sends the event, if it is to be sent."""
        if event.kind not in self._kinds:
            return
        second = int(self._clock())
        if second != self._second:
            self._second, self._sent = second, 0
        if self._sent == EVENTS_PER_SECOND:
            self._kept_back += 1
            return
        self._sent += 1
        message = event.as_message()
        if self._kept_back:
            message["kept_back"] = self._kept_back
            self._kept_back = 0
        try:
            self._send(message)
        except ValueError as error:
            # Too long, or with something in it that is not JSON: elements say what they like.
            _log.debug("pipeline_event_not_sent", kind=event.kind, cause=error)
