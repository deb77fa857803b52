"""The timeline of an agent in words: a line for each entry, and one sentence for the whole.

It reads what the operator API shows (an agent, and entries newest first), so that the pages and the
command line say the same; only the clock on the wall may differ.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from typing import Any, Final, TypeAlias

Document: TypeAlias = Mapping[str, Any]
Clock: TypeAlias = Callable[[str], str]
"""Makes a time for people of a timestamp."""

CONTEXT: Final = 50
"""Entries that a sentence needs at hand: what an agent was through since it was last well."""
TOO_LONG: Final = 600
"""Seconds from which on a duration is told in minutes and hours: up to there in the unit that
settings have."""


def clock(now: datetime, zone: tzinfo) -> Clock:
    """Times as on a wall in `zone`: with the date if it is not today's, with a Z in UTC."""
    today = now.astimezone(zone).date()
    suffix = "Z" if zone is timezone.utc else ""

    def on_the_wall(timestamp: str) -> str:
        moment = _parse(timestamp).astimezone(zone)
        pattern = "%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S"
        return f"{moment.strftime(pattern)}{suffix}"

    return on_the_wall


def sentence(agent: Document, entries: Sequence[Document], clock: Clock) -> str:
    """Why an agent is what it is.

    Args:
        agent: as the operator API has it.
        entries: its timeline as far as it is at hand, newest first.
    """
    said = _offline(agent, entries, clock) if agent["status"] == "offline" else None
    if said is None:
        said = _online(agent, entries, clock)
    return f"{agent['id']} is {said}{_last_heartbeat(agent, clock)}"


def describe(kind: str, data: Document) -> str:
    """One entry in words."""
    describe = _KINDS.get(kind)
    return kind if describe is None else describe(data)


def span(seconds: float) -> str:
    """A duration for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    if seconds < TOO_LONG:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def _online(agent: Document, entries: Sequence[Document], clock: Clock) -> str:
    state = agent["state"]
    lost = _newest(entries, "disconnected")
    if state == "reconnecting" and lost is not None:
        return (
            f"reconnecting since {clock(lost['at'])}: its connection{_from(lost)} {_end(lost)}, "
            "and it still has time to come back"
        )
    if state == "unknown":
        started = _newest(entries, "started")
        since = "" if started is None else f" at {clock(started['at'])}"
        lost_how = "" if lost is None else f"; before, its connection{_from(lost)} {_end(lost)}"
        return (
            f"not back yet since the server started{since}, and still has time for that{lost_how}"
        )
    where = f"connected{_from(agent)} since {clock(agent['connected_at'])}"
    missed = _newest(entries, "missed")
    if state == "late" and missed is not None:
        return f"late: {where}, but {_missed(missed)}"
    if state == "terminating":
        return f"terminating: {where}, and was asked to stop its application"
    return f"online: {where}{_after_absence(entries)}"


def _after_absence(entries: Sequence[Document]) -> str:
    """How long it was offline, if it came back from that and not from something since."""
    offline = _newest(entries, "offline", "terminated")
    if offline is None:
        return ""
    came = [
        entry
        for entry in entries
        if entry["kind"] in ("online", "connected") and entry["number"] > offline["number"]
    ]
    if len(came) != 1:
        return ""
    return f", after it was offline for {span(_passed(entries, offline, came[0]))}"


def _offline(agent: Document, entries: Sequence[Document], clock: Clock) -> str | None:
    offline = _newest(entries, "offline", "terminated")
    if offline is None:
        return f"offline ({agent['reason_code'] or 'never online'}), and nothing tells since when"
    since = f"offline since {clock(offline['at'])}"
    reason = "terminated" if offline["kind"] == "terminated" else offline["data"]["reason_code"]
    earlier = [entry for entry in entries if entry["number"] < offline["number"]]
    why = _why_offline(reason, offline, earlier, clock)
    gone = _newest([e for e in entries if e["number"] > offline["number"]], "disconnected")
    if gone is not None and reason != "terminated":
        why = f"{why}; its connection{_from(gone)} {_end(gone)} at {clock(gone['at'])}"
    elif agent["connected"]:
        why = f"{why}; its connection{_from(agent)} is still open"
    return f"{since}: {why}"


def _why_offline(reason: str, offline: Document, earlier: Sequence[Document], clock: Clock) -> str:
    lost = _newest(earlier, "disconnected")
    missed = _newest(earlier, "missed")
    match reason:
        case "terminated":
            who = "the drain" if offline["data"].get("drain") else "an operator"
            return f"{who} asked it to stop its application, and it did{_lost(offline['data'])}"
        case "reconnect_timeout" if lost is not None:
            waited = span(_passed(earlier, lost, offline))
            return f"its connection{_from(lost)} {_end(lost)}, it did not come back within {waited}"
        case "reconnect_timeout":
            return "it did not come back in time"
        case "missed_heartbeats" if missed is not None:
            return f"{_missed(missed)}, and no sign of life came within the grace period"
        case "heartbeat_timeout" if lost is not None and lost["data"]["cause"] == reason:
            return f"its connection{_from(lost)} {_end(lost)}"
        case "heartbeat_timeout":
            return "it did not come back after the server's start, and was silent long before"
        case "no_connection":
            return "it did not come back after the server's start, and never sent a heartbeat"
        case "operator":
            return "an operator removed it"
    return reason.replace("_", " ")


def _last_heartbeat(agent: Document, clock: Clock) -> str:
    last = agent["last_heartbeat"]
    return "; it never sent a heartbeat" if last is None else f"; last heartbeat {clock(last)}"


def _passed(entries: Iterable[Document], first: Document, last: Document) -> float:
    """Seconds from one entry to another; what the wall clock was set by in between is no time."""
    seconds = (_parse(last["at"]) - _parse(first["at"])).total_seconds()
    steps = (
        float(entry["data"]["seconds"])
        for entry in entries
        if entry["kind"] == "clock" and first["number"] < entry["number"] < last["number"]
    )
    return max(0.0, seconds - sum(steps))


def _newest(entries: Iterable[Document], *kinds: str) -> Document | None:
    """The newest entry of these kinds; ends of connections that were not the agent's any more do
    not count."""
    for entry in entries:
        if entry["kind"] in kinds and not entry["data"].get("stale"):
            return entry
    return None


def _from(what: Document) -> str:
    ip = what.get("ip") or what.get("data", {}).get("ip")
    return f" from {ip}" if ip else ""


def _end(entry: Document) -> str:
    """How a connection ended, after its name."""
    data = entry["data"]
    words = f"{data['code']} {data['reason']}".rstrip()
    match data["initiator"], data["cause"]:
        case "network", _:
            return "was lost without a close frame"
        case "peer", _ if data["code"] == 1005:
            return "was closed by the agent without a code"
        case "peer", _:
            return f"was closed by the agent with {words}"
        case _, "slow_consumer":
            return f"was closed by the server with {words}: it did not read what it was sent"
        case _, "ping_timeout":
            return f"was closed by the server with {words}: nothing came from it any more"
        case _, "heartbeat_timeout":
            return f"was closed by the server with {words}: it sent no heartbeat any more"
        case _, "taken_over":
            return f"was closed by the server with {words}: another one took its place"
        case _ if data["code"] == 1006:
            return "was cut by the server"
    return f"was closed by the server with {words}"


def _missed(entry: Document) -> str:
    misses, silent_ms = entry["data"]["misses"], entry["data"]["silent_ms"]
    heartbeats = "a heartbeat" if misses == 1 else f"{misses} heartbeats in a row"
    return f"it missed {heartbeats} and was silent for {span(silent_ms / 1000)}"


def _describe_connected(data: Document) -> str:
    parts = [f"connected from {data['ip']} ({data['dialect']}, {data['introduced_by']})"]
    if data["took_over"]:
        parts.append("took over from an earlier connection")
    if data["session_restored"]:
        parts.append("session restored")
    return ", ".join(parts)


def _describe_disconnected(data: Document) -> str:
    whose = "an earlier connection" if data["stale"] else "its connection"
    parts = [f"{whose} {_end({'data': data})}"]
    if data["initiator"] == "server" and data["code"] != 1006:
        answer = data["answer"]
        if not answer:
            parts.append("the agent did not answer that")
        elif answer != data["code"]:
            parts.append(f"the agent answered {answer}")
    if data["lasted_ms"] is not None:
        parts.append(f"it lasted {span(data['lasted_ms'] / 1000)}")
    if data["rtt_us"]:
        parts.append(f"round trip {data['rtt_us'] / 1000:.1f} ms")
    return ", ".join(parts)


def _describe_terminated(data: Document) -> str:
    return f"stopped its application after {span(data['latency_ms'] / 1000)}{_lost(data)}"


def _lost(data: Document) -> str:
    """That it stopped, and yet not all of its streams ended."""
    words = data.get("incomplete")
    if words is None:
        return ""
    return ", but a stream did not reach its end" + (f" ({words})" if words else "")


def _describe_clock(data: Document) -> str:
    way = "forward" if data["seconds"] > 0 else "back"
    return f"the wall clock was set {way} by {span(abs(data['seconds']))}"


def _describe_unterminated(data: Document) -> str:
    said = f": {data['message']}" if data["message"] else ""
    if data["outcome"] == "timed_out":
        return "did not answer terminate_app in time"
    return f"terminate_app failed{said}"


_KINDS: Final[dict[str, Callable[[Document], str]]] = {
    "connected": _describe_connected,
    "disconnected": _describe_disconnected,
    "missed": lambda data: f"{_missed({'data': data}).removeprefix('it ')}; was asked for a sign",
    "recovered": lambda data: f"a {data['by']} came",
    "online": lambda data: "online",
    "offline": lambda data: f"offline: {data['reason_code']}",
    "asked": lambda data: "was asked to stop its application",
    "terminated": _describe_terminated,
    "unterminated": _describe_unterminated,
    "refused": lambda data: f"answered terminate_app with {data['status']}: {data['message']}",
    "progress": lambda data: f"still stopping: {data['stage']} (+{data['granted_ms'] / 1000:g} s)",
    "started": lambda data: f"the server started (dscore {data['version']})",
    "stopped": lambda data: "the server stopped",
    "maintenance": lambda data: f"maintenance {'on' if data['enabled'] else 'off'}",
    "clock": _describe_clock,
    "drain": lambda data: f"the server began to drain ({data['intent']})",
}


def _parse(timestamp: str) -> datetime:
    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.replace(tzinfo=timezone.utc)
