"""What still moves in a pipeline, and which pads at rest will hear no more of their stream.

A probe on each sink pad fires once between two looks: it costs as much on a pad that carries a
thousand buffers a second as on one that carries ten.
"""

import time
from collections.abc import Iterator

from dscore_agent.pipeline import walk
from dscore_agent.pipeline.gst import Gst

_MOVES = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST | Gst.PadProbeType.EVENT_DOWNSTREAM


class Flow:
    """When something last passed each sink pad of a pipeline, as seen from `look` to `look`."""

    def __init__(self, pipeline: Gst.Pipeline) -> None:
        self._pipeline = pipeline
        self._probes: dict[Gst.Pad, int] = {}
        self._armed: set[Gst.Pad] = set()
        """Those whose probe has not fired."""
        self._moved: dict[Gst.Pad, float] = {}
        self._last = time.monotonic()

    def look(self) -> None:
        """Takes note of what has passed since the last look, and of pads that are new."""
        now = time.monotonic()
        for pad in walk.sink_pads(self._pipeline):
            if pad not in self._armed:
                self._moved[pad] = self._last = now
                self._armed.add(pad)
                self._probes[pad] = pad.add_probe(_MOVES, self._pass)

    @property
    def rest(self) -> float:
        """Seconds in which nothing has moved anywhere."""
        return time.monotonic() - self._last

    def idle_pads(self, seconds: float, *, hung: bool) -> Iterator[Gst.Pad]:
        """Pads that have been at rest for so long, and whose end of stream will not come by itself.

        What feeds such a pad has ended, does not exist, or is held up on its way to another pad.

        Args:
            seconds: Of rest, at the pad and at what feeds it.
            hung: Also pads whose feeder hangs by itself: what it has in hand is lost.
        """
        for pad, moved in self._moved.items():
            if time.monotonic() - moved >= seconds and self._waits_in_vain(pad, seconds, hung=hung):
                yield pad

    def close(self) -> None:
        """Takes the probes away."""
        for pad, probe in self._probes.items():
            if self._disarm(pad):
                pad.remove_probe(probe)
        self._probes.clear()

    def _pass(self, pad: Gst.Pad, _info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        # In a streaming thread. A probe goes once: by itself, or by the hand that gives up on it.
        return Gst.PadProbeReturn.REMOVE if self._disarm(pad) else Gst.PadProbeReturn.OK

    def _disarm(self, pad: Gst.Pad) -> bool:
        # A set lets go of a member in one step.
        try:
            self._armed.remove(pad)
        except KeyError:
            return False
        return True

    def _waits_in_vain(self, pad: Gst.Pad, seconds: float, *, hung: bool) -> bool:
        if not pad.is_active() or pad.mode != Gst.PadMode.PUSH:
            return False
        if walk.has_ended(pad) or not walk.is_free(pad):
            return False
        if walk.is_private(pad.get_parent_element()):
            return False
        before = walk.linked_pad(pad)
        feeder = None if before is None else before.get_parent()
        if feeder is None or walk.is_private(feeder):
            return True
        inputs = [each for each in walk.element_sink_pads(feeder) if not walk.has_ended(each)]
        if any(time.monotonic() - self._moved.get(each, 0.0) < seconds for each in inputs):
            return False
        if not inputs:
            # Its own thread may still be at what it has: a muxer's at the index.
            return hung or walk.is_free(before)
        # At rest itself, it waits for what feeds it: that is where the end gets lost.
        held = any(not walk.is_free(each) for each in inputs)
        return held and (hung or walk.is_held_up(feeder))
