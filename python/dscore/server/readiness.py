"""Whether an agent more could be let in."""

from collections.abc import Mapping


def why_full(stats: Mapping[str, int], places: int) -> str | None:
    """Why no agent more can be let in, and what to do about it; None while one can.

    Args:
        stats: the core's, read over the connection that asks.
        places: `limits.connections`, or what the descriptors allow.
    """
    if stats["places_yielding"]:
        return None
    if stats["descriptors_short"]:
        return "no descriptor is left: raise LimitNOFILE= or ulimit -n"
    # The connection that brings the question may have the last place, and leaves it.
    is_asking = stats["http_connections"] > stats["places_short"]
    if stats["places_taken"] - is_asking >= places:
        return f"all {places:,} places are taken: raise limits.connections"
    return None
