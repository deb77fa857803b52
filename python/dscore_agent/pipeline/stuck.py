"""What a pipeline that does not end is stuck at, in words of a bounded length.

Names are the program's, and a pipeline may have thousands of elements: an answer names the first.
"""

from collections.abc import Sequence

from dscore_agent.pipeline import walk
from dscore_agent.pipeline.gst import Gst

MAX_NAMES = 20
MAX_NAME_CHARACTERS = 200


def short(name: str) -> str:
    """As much of a name as is told."""
    return name[:MAX_NAME_CHARACTERS]


def first(words: Sequence[str]) -> list[str]:
    """The first of them, and how many there are more."""
    more = len(words) - MAX_NAMES
    return [*words[:MAX_NAMES], *([f"{more} more"] if more > 0 else [])]


def joined(names: Sequence[str]) -> str:
    """The first names, and how many there are more."""
    more = len(names) - MAX_NAMES
    return ", ".join(map(short, names[:MAX_NAMES])) + (f" and {more} more" if more > 0 else "")


def unended(pipeline: Gst.Pipeline) -> str:
    """Which streams did not end, and why."""
    sinks = joined(walk.unended_sinks(pipeline)) or pipeline.get_name()
    words = f"no end of stream in time at {sinks}"
    for why, places in (
        ("held up by", walk.blocking(pipeline)),
        ("stuck at", walk.stuck_ends(pipeline)),
        ("not linked:", walk.unlinked(pipeline)),
    ):
        words += f", {why} {joined(places)}" if places else ""
    return words
