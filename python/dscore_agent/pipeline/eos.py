"""The end of the stream for one source, however little it helps."""

import asyncio
import time

from dscore_agent.hooks import call
from dscore_agent.log import Log
from dscore_agent.pipeline import walk
from dscore_agent.pipeline.gst import Gst

POLL_SECONDS = 0.1

_log = Log("dscore.agent.pipeline")


async def end_source(source: Gst.Element, timeout: float, limit: float) -> None:
    """Has a source or source bin end its stream after the frame that it is at.

    Done when the end has been taken; it is on its way then.

    Args:
        source: Anything in which data begins.
        timeout: Seconds without a frame after which a bin that was told, but has not ended, gets
            no more of it.
        limit: The same of a bin whose frames go on.
    """
    # Through a transport it would go both ways, and wait for a peer.
    if not walk.is_transport(source) and await call(source.send_event, Gst.Event.new_eos()):
        # What is no bin has nowhere to lose it.
        if not isinstance(source, Gst.Bin) or await _came_out(source, timeout, limit):
            return
        # Source bins that reconnect by themselves, DeepStream's for RTSP among them, drop it.
        _log.info("eos_swallowed", element=source.get_name())
    # Not made from GstBaseSrc, and never taught this event, or a bin that keeps it to itself.
    taken = [await call(pad.push_event, Gst.Event.new_eos()) for pad in source.srcpads]
    if not any(taken):
        _log.warning("eos_refused", element=source.get_name())


def flush_source(source: Gst.Element) -> None:
    """Frees whatever waits in a source, or behind it with its data in hand; the data is lost."""
    # What says that it is a source may have sinks all the same, as webrtcbin does.
    for pad in (*source.srcpads, *source.sinkpads):
        flush_pad(pad)


def flush_pad(pad: Gst.Pad) -> None:
    """The same from one pad on. It waits for no lock of a stream."""
    event = Gst.Event.new_flush_start()
    if pad.direction == Gst.PadDirection.SRC:
        pad.push_event(event)
    else:
        pad.send_event(event)


async def _came_out(source: Gst.Bin, timeout: float, limit: float) -> bool:
    """Waits for the end at the pads of a bin; False: for so long not even a frame has come, or
    frames and no end."""
    began = last = time.monotonic()

    def passes(_pad: Gst.Pad, _info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        nonlocal last
        last = time.monotonic()
        return Gst.PadProbeReturn.OK

    probed = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
    probes = [(pad, pad.add_probe(probed, passes)) for pad in source.srcpads]
    try:
        while not all(walk.has_ended(pad) for pad, _ in probes):
            now = time.monotonic()
            if now - last >= timeout or now - began >= limit:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True
    finally:
        for pad, probe in probes:
            pad.remove_probe(probe)
