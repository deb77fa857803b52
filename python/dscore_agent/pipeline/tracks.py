"""Tracks that never had data, in files whose format has no room for such.

QuickTime's muxers (MP4, MOV, 3GP) write an empty track without saying of what: players then call
the whole file corrupt. Told what it would have been, they write a track of length zero, and all is
well.
"""

from dscore_agent.log import Log
from dscore_agent.pipeline import walk
from dscore_agent.pipeline.gst import Gst

_QUICKTIME = "isomp4"
_KINDS = (
    # None of them needs data of its codec in its caps.
    "audio/mpeg,mpegversion=1,layer=3,channels=2,rate=48000,parsed=true",
    "video/mpeg,mpegversion=4,systemstream=false,width=16,height=16,framerate=30/1",
    "text/x-raw,format=utf8",
)

_log = Log("dscore.agent.pipeline")


def complete_mute_tracks(pipeline: Gst.Pipeline) -> None:
    """Has the end of a track that never had data come with a description of it."""
    for element in walk.leaves(pipeline):
        if _is_quicktime(element):
            for pad in walk.element_sink_pads(element):
                if not _has_caps(pad):
                    pad.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, _describe)


def _is_quicktime(element: Gst.Element) -> bool:
    # By the plugin, for the types have other names and parents before GStreamer 1.20.
    factory = element.get_factory()
    if factory is None or not factory.list_is_type(Gst.ELEMENT_FACTORY_TYPE_MUXER):
        return False
    return bool(factory.get_plugin_name() == _QUICKTIME)


def _has_caps(pad: Gst.Pad) -> bool:
    return pad.get_sticky_event(Gst.EventType.CAPS, 0) is not None


def _describe(pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
    # In the streaming thread that brings the end: what is sent here comes before it.
    event = info.get_event().type
    if event == Gst.EventType.CAPS:
        return Gst.PadProbeReturn.REMOVE
    if event != Gst.EventType.EOS or _has_caps(pad):
        return Gst.PadProbeReturn.OK
    accepted = pad.query_caps(None)
    fitting = (
        caps for kind in _KINDS if (caps := Gst.Caps.from_string(kind)).can_intersect(accepted)
    )
    caps = next(fitting, None)
    name = f"{pad.get_parent_element().get_name()}.{pad.get_name()}"
    _log.warning("track_without_data", pad=name, described=caps is not None)
    if caps is not None:
        segment = Gst.Segment()
        segment.init(Gst.Format.TIME)
        if pad.get_sticky_event(Gst.EventType.STREAM_START, 0) is None:
            pad.send_event(Gst.Event.new_stream_start(name))
        pad.send_event(Gst.Event.new_caps(caps))
        pad.send_event(Gst.Event.new_segment(segment))
    return Gst.PadProbeReturn.REMOVE
