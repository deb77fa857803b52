"""Looks into a pipeline: where it begins, what holds up its end, what hangs in a state change.

Nothing here waits for an element: all of it works while one of them hangs.
"""

from collections.abc import Iterator
from typing import Any

from dscore_agent.pipeline.gst import Gst


def sources(pipeline: Gst.Bin) -> list[Gst.Element]:
    """The elements and bins of the top level in which data begins."""
    return [element for element in _items(pipeline.iterate_elements()) if is_source(element)]


def is_source(element: Gst.Element) -> bool:
    """Data begins in it.

    Elements written in Python often forget the flag, but have no way in. Others have the flag and a
    way in: webrtcbin, which is a source only where a peer sends it something.
    """
    if element.numsinkpads == 0:
        return _is_flagged(element) or element.numsrcpads > 0
    return _is_flagged(element) and element.numsrcpads > 0


def has_live_source(pipeline: Gst.Bin) -> bool:
    """Something in it gives its data as time goes by, as a camera does."""
    for pad in (pad for source in sources(pipeline) for pad in source.srcpads):
        query = Gst.Query.new_latency()
        if pad.query(query) and query.parse_latency()[0]:
            return True
    return False


def is_transport(element: Gst.Element) -> bool:
    """It says that it is a source, and takes data all the same, to carry it to a peer."""
    return _is_flagged(element) and element.numsinkpads > 0


def is_private(element: Gst.Element) -> bool:
    """It is a source or a transport of the top level, or in one: how an end gets through such a bin
    is its own affair."""
    while (parent := element.get_parent()) is not None and parent.get_parent() is not None:
        element = parent
    return _is_flagged(element) or is_source(element)


def has_private_sinks(pipeline: Gst.Bin) -> bool:
    """It has sinks that its bus waits for though no end need ever come to them."""
    return any(element.numsrcpads == 0 and is_private(element) for element in leaves(pipeline))


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
    return [e.name for e in leaves(pipeline) if e.current_state != Gst.State.NULL]


def waiting_sinks(pipeline: Gst.Bin) -> list[str]:
    """Names of the sinks that have not got the first frame that they wait for."""
    return sorted(
        element.get_name()
        for element in leaves(pipeline)
        if element.numsrcpads == 0 and element.pending_state != Gst.State.VOID_PENDING
    )


def names(element: Gst.Element) -> set[str]:
    """Of an element and, if it is a bin, of all in it."""
    inside = _items(element.iterate_recurse()) if isinstance(element, Gst.Bin) else []
    return {element.get_name(), *(e.get_name() for e in inside)}


def unended_sinks(pipeline: Gst.Bin) -> list[str]:
    """Names of the sinks that have not seen the end of their stream.

    What is in a source or a transport does not count, for a connection outlives every stream: what
    has come to a transport itself has come to its end.
    """
    sinks = [element for element in _open_leaves(pipeline) if element.numsrcpads == 0]
    transports = filter(is_transport, _items(pipeline.iterate_elements()))
    return sorted(
        element.get_name()
        for element in (*sinks, *transports)
        if not all(map(has_ended, element_sink_pads(element)))
    )


def sink_pads(pipeline: Gst.Bin) -> list[Gst.Pad]:
    """All pads through which data comes into an element, on whatever level of bins."""
    return [pad for element in leaves(pipeline) for pad in element_sink_pads(element)]


def element_sink_pads(element: Gst.Element) -> list[Gst.Pad]:
    """The pads through which data comes into one element."""
    return _items(element.iterate_sink_pads())


def is_free(pad: Gst.Pad) -> bool:
    """No thread is on its way through this pad: something could be sent into it without waiting."""
    if pad.stream_rec_lock.trylock():
        pad.stream_rec_lock.unlock()
        return True
    return False


def is_held_up(element: Gst.Element) -> bool:
    """What it sends waits in an element behind it, in at least one branch."""
    ways = (_way(pad) for pad in _items(element.iterate_src_pads()))
    return any(not is_free(pad) for way in ways for pad in way)


def blocking(pipeline: Gst.Bin) -> list[str]:
    """Names of the elements that hold up what is before them.

    A thread holds the lock of every pad that it has come through. Where no lock behind an element
    is held any more, that element has the data and does not let go of it. A bin that lets nothing
    in yet, as webrtcbin does without a peer, holds it at its own pad.
    """
    elements = {
        element.get_name()
        for element in _open_leaves(pipeline)
        if any(not is_free(pad) for pad in element_sink_pads(element) if not has_ended(pad))
        and not is_held_up(element)
    }
    bins = {
        element.get_name()
        for element in _items(pipeline.iterate_recurse())
        if isinstance(element, Gst.Bin)
        and any(_is_held_at_the_door(pad) for pad in element_sink_pads(element))
    }
    return sorted(elements | bins)


def unlinked(pipeline: Gst.Bin) -> list[str]:
    """Pads that wait for the end of a stream, as `mixer0.sink_1`, though nothing feeds them."""
    return sorted(
        f"{element.get_name()}.{pad.get_name()}"
        for element in _open_leaves(pipeline)
        for pad in element_sink_pads(element)
        if not has_ended(pad) and upstream(pad) is None
    )


def stuck_ends(pipeline: Gst.Bin) -> list[str]:
    """The places where the end of a stream got stuck, as `queue0 → filesink0`.

    Left is who has sent the end on or still has to, right the first who has not seen it.
    """
    return sorted(
        {
            f"{feeder.name} → {element.name}"
            for element in _open_leaves(pipeline)
            for pad in _items(element.iterate_sink_pads())
            if not has_ended(pad)
            and (feeder := upstream(pad)) is not None
            and all(has_ended(before) for before in element_sink_pads(feeder))
        }
    )


def has_ended(pad: Gst.Pad) -> bool:
    """The end of its stream has come to this pad."""
    return pad.get_sticky_event(Gst.EventType.EOS, 0) is not None


def leaves(pipeline: Gst.Bin) -> list[Gst.Element]:
    """The elements on all levels, without the bins around them."""
    elements = _items(pipeline.iterate_recurse())
    return [element for element in elements if not isinstance(element, Gst.Bin)]


def upstream(pad: Gst.Pad) -> Gst.Element | None:
    """The element that feeds a pad, on whatever level of bins."""
    before = linked_pad(pad)
    return None if before is None else before.get_parent()


def linked_pad(pad: Gst.Pad) -> Gst.Pad | None:
    """The pad of an element that a pad of another one is linked to, on whatever level of bins."""
    way = list(_way(pad))
    return way[-1] if way and not isinstance(way[-1], Gst.ProxyPad) else None


def _open_leaves(pipeline: Gst.Bin) -> list[Gst.Element]:
    return [element for element in leaves(pipeline) if not is_private(element)]


def _is_held_at_the_door(pad: Gst.Pad) -> bool:
    inside = pad.get_target() if isinstance(pad, Gst.GhostPad) else None
    return not is_free(pad) and (inside is None or is_free(inside))


def _way(pad: Gst.Pad) -> Iterator[Gst.Pad]:
    """From a pad on to what it is linked to: the pads of bins in between, then an element's."""
    peer = pad.get_peer()
    while peer is not None:
        yield peer
        parent = peer.get_parent()
        if isinstance(peer, Gst.GhostPad):
            # Out of a bin: go in, to what is behind its pad.
            peer = peer.get_target()
        elif isinstance(parent, Gst.GhostPad):
            # Into a bin, seen from inside: go out, to what its pad is linked to.
            peer = parent.get_peer()
        else:
            return


def _is_flagged(element: Gst.Element) -> bool:
    return bool(element.flags & int(Gst.ElementFlags.SOURCE))


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
