"""Looks into a pipeline: where it begins, what holds up its end, what hangs in a state change.

Nothing here waits for an element: all of it works while one of them hangs.
"""

from typing import Any

from dscore.agent.pipeline.gst import Gst


def sources(pipeline: Gst.Bin) -> list[Gst.Element]:
    """The elements and bins of the top level in which data begins."""
    return [element for element in _items(pipeline.iterate_elements()) if is_source(element)]


def is_source(element: Gst.Element) -> bool:
    """Data begins in it. Elements written in Python often forget the flag, but have no way in."""
    flagged = bool(element.flags & int(Gst.ElementFlags.SOURCE))
    return flagged or (element.numsinkpads == 0 and element.numsrcpads > 0)


def changing(pipeline: Gst.Bin) -> list[str]:
    """Names of the elements that are in a state change at this moment, innermost only.

    An element holds its state lock for as long as it changes, and so do the bins around it: where
    the walk finds no lock held any deeper, something hangs.
    """
    if not _is_changing(pipeline):
        return []
    children = [c for c in _items(pipeline.iterate_elements()) if _is_changing(c)]
    inner = [
        name for c in children for name in (changing(c) if isinstance(c, Gst.Bin) else [c.name])
    ]
    return inner or [pipeline.name]


def still_up(pipeline: Gst.Bin) -> list[str]:
    """Names of the elements that are not in the state NULL."""
    return [e.name for e in _leaves(pipeline) if e.current_state != Gst.State.NULL]


def names(element: Gst.Element) -> set[str]:
    """Of an element and, if it is a bin, of all in it."""
    inside = _items(element.iterate_recurse()) if isinstance(element, Gst.Bin) else []
    return {element.get_name(), *(e.get_name() for e in inside)}


def unended_sinks(pipeline: Gst.Bin) -> list[str]:
    """Names of the sinks that have not seen the end of their stream."""
    return sorted(
        element.get_name()
        for element in _leaves(pipeline)
        if element.numsrcpads == 0 and not all(map(has_ended, _items(element.iterate_sink_pads())))
    )


def stuck_ends(pipeline: Gst.Bin) -> list[str]:
    """The places where the end of a stream got stuck, as `queue0 → filesink0`.

    Left is who has sent the end on or still has to, right the first who has not seen it.
    """
    return sorted(
        {
            f"{upstream.name} → {element.name}"
            for element in _leaves(pipeline)
            for pad in _items(element.iterate_sink_pads())
            if not has_ended(pad)
            and (upstream := _upstream(pad)) is not None
            and all(has_ended(before) for before in _items(upstream.iterate_sink_pads()))
        }
    )


def has_ended(pad: Gst.Pad) -> bool:
    """The end of its stream has come to this pad."""
    return pad.get_sticky_event(Gst.EventType.EOS, 0) is not None


def _leaves(pipeline: Gst.Bin) -> list[Gst.Element]:
    elements = _items(pipeline.iterate_recurse())
    return [element for element in elements if not isinstance(element, Gst.Bin)]


def _upstream(pad: Gst.Pad) -> Gst.Element | None:
    """The element that feeds a pad, on whatever level of bins."""
    peer = pad.get_peer()
    while peer is not None:
        parent = peer.get_parent()
        if isinstance(peer, Gst.GhostPad):
            # Out of a bin: go in, to what is behind its pad.
            peer = peer.get_target()
        elif isinstance(parent, Gst.GhostPad):
            # Into a bin, seen from inside: go out, to what its pad is linked to.
            peer = parent.get_peer()
        else:
            return parent
    return None


def _is_changing(element: Gst.Element) -> bool:
    if element.state_lock.trylock():
        element.state_lock.unlock()
        return False
    return True


def _items(iterator: Gst.Iterator) -> list[Any]:
    found: list[Any] = []
    while True:
        result, item = iterator.next()
        if result == Gst.IteratorResult.OK:
            found.append(item)
        elif result == Gst.IteratorResult.RESYNC:
            # Something was added or removed meanwhile.
            found.clear()
            iterator.resync()
        else:
            return found
