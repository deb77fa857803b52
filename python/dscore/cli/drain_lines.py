"""A drain in a terminal: the same as on the fleet page."""

from datetime import datetime, timezone
from typing import Any, Final

from dscore.cli import output

WIDTH: Final = 40
"""Columns of the bar of segments."""
MARKS: Final = {
    "acked": "#",
    "incomplete": "%",
    "notified": "=",
    "failed": "!",
    "timed_out": "?",
    "vanished": "x",
    "pending": ".",
}
"""The outcomes in the order of the bar, and what each fills its segment with, on any terminal."""


def progress_of(drain: dict[str, Any]) -> str:
    """A drain in words: its counts without the zeros."""
    counts = [f"{drain[name]:,} {name.replace('_', ' ')}" for name in MARKS if drain.get(name)]
    agents = output.agents(drain["total"])
    return f"{agents}: {', '.join(counts)}" if counts else agents


def segments(drain: dict[str, Any]) -> str:
    """A bar with a segment for each outcome; whatever there is of, however little, is seen."""
    counts = {name: drain.get(name) or 0 for name in MARKS}
    # An agent whose streams were cut short has acked all the same: it is counted in both.
    counts["acked"] -= counts["incomplete"]
    present = {name: count for name, count in counts.items() if count > 0}
    if not present:
        return f"[{MARKS['acked'] * WIDTH}]"
    total = sum(present.values())
    widths = {name: max(1, WIDTH * count // total) for name, count in present.items()}
    widths[max(widths, key=widths.__getitem__)] += WIDTH - sum(widths.values())
    return f"[{''.join(MARKS[name] * width for name, width in widths.items())}]"


def acks_line(drain: dict[str, Any]) -> str | None:
    """How fast the acks came; None where none has come."""
    latency = drain.get("latency_ms") or {}
    if latency.get("p50") is None:
        return None
    return "acks: " + ", ".join(f"{name} {latency[name]:.0f} ms" for name in latency)


def drain_lines(status: dict[str, Any]) -> list[str]:
    """A drain as it stands, under its bar: its counts, how fast the acks came, and who is left."""
    lines = [progress_of(status)]
    if acks := acks_line(status):
        lines.append(acks)
    now = datetime.now(timezone.utc)
    for agent in status.get("left", [])[: output.NAMED]:
        deadline, stage = agent["deadline"], agent["stage"]
        parts = [output.printable(agent["id"])]
        if agent.get("outcome") is not None:
            parts.append(agent["outcome"].replace("_", " "))
        if deadline is not None:
            parts.append(f"{output.until(deadline, now)} left")
        if stage is not None:
            parts.append(output.printable(stage))
        lines.append("  " + ", ".join(parts))
    more = status.get("left_total", 0) - output.NAMED
    if more > 0:
        lines.append(f"  and {more:,} more")
    return lines
