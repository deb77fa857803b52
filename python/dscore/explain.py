"""The timeline of an agent in words: a line for each entry, and one sentence for the whole.

It reads what the operator API shows (an agent, and entries newest first), so that the pages and the
command line say the same; only the clock on the wall may differ.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from typing import Any, Final, TypeAlias

from dscore.phrases import Say
from dscore.translations import Language

Document: TypeAlias = Mapping[str, Any]
Clock: TypeAlias = Callable[[str], str]
"""Makes a time for people of a timestamp."""

CONTEXT: Final = 50
"""Entries that a sentence needs at hand: what an agent was through since it was last well."""
TOO_LONG: Final = 600
"""Seconds from which on a duration is told in minutes and hours: up to there in the unit that
settings have."""
_SAY: Final = Say("en")


def clock(now: datetime, zone: tzinfo) -> Clock:
    """Times as on a wall in `zone`: with the date if it is not today's, with a Z in UTC."""
    today = now.astimezone(zone).date()
    suffix = "Z" if zone is timezone.utc else ""

    def on_the_wall(timestamp: str) -> str:
        moment = _parse(timestamp).astimezone(zone)
        pattern = "%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S"
        return f"{moment.strftime(pattern)}{suffix}"

    return on_the_wall


def sentence(
    agent: Document, entries: Sequence[Document], clock: Clock, language: Language = "en"
) -> str:
    """Why an agent is what it is.

    Args:
        agent: as the operator API has it.
        entries: its timeline as far as it is at hand, newest first.
        language: of the sentence.
    """
    say = Say(language)
    said = _offline(agent, entries, clock, say) if agent["status"] == "offline" else None
    if said is None:
        said = _online(agent, entries, clock, say)
    last = agent["last_heartbeat"]
    heard = say("never heard") if last is None else say("heard", at=clock(last))
    return say("is", id=agent["id"], said=said, heard=heard)


def describe(kind: str, data: Document, language: Language = "en") -> str:
    """One entry in words."""
    describe = _KINDS.get(kind)
    return kind if describe is None else describe(data, Say(language))


def span(seconds: float, say: Say = _SAY) -> str:
    """A duration for people."""
    if seconds < 1:
        return say("ms", count=f"{seconds * 1000:.0f}")
    if seconds < 10:
        return say("s", count=f"{seconds:.1f}".removesuffix(".0"))
    if seconds < TOO_LONG:
        return say("s", count=f"{seconds:.0f}")
    minutes = round(seconds / 60)
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    return " ".join(say(unit, count=count) for count, unit in parts if count)


def _online(agent: Document, entries: Sequence[Document], clock: Clock, say: Say) -> str:
    state = agent["state"]
    lost = _newest(entries, "disconnected")
    if state == "reconnecting" and lost is not None:
        return say(
            "reconnecting", at=clock(lost["at"]), ip=_from(lost, say), end=_end(lost["data"], say)
        )
    if state == "unknown":
        started = _newest(entries, "started")
        since = "" if started is None else say("started at", at=clock(started["at"]))
        before = "" if lost is None else _connection("before", lost, say)
        return say("unknown", at=since, lost=before)
    connected = say("connected", ip=_from(agent, say), at=clock(agent["connected_at"]))
    missed = _newest(entries, "missed")
    if state == "late" and missed is not None:
        return say("late", connected=connected, missed=_missed(missed["data"], say))
    if state == "terminating":
        return say("terminating", connected=connected)
    return say("online", connected=connected, absence=_after_absence(entries, say))


def _after_absence(entries: Sequence[Document], say: Say) -> str:
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
    return say("absence", span=span(_passed(entries, offline, came[0]), say))


def _offline(agent: Document, entries: Sequence[Document], clock: Clock, say: Say) -> str | None:
    offline = _newest(entries, "offline", "terminated")
    if offline is None:
        return say("untold", reason=agent["reason_code"] or say("never online"))
    reason = "terminated" if offline["kind"] == "terminated" else offline["data"]["reason_code"]
    earlier = [entry for entry in entries if entry["number"] < offline["number"]]
    gone = _newest([e for e in entries if e["number"] > offline["number"]], "disconnected")
    connection = ""
    if gone is not None and reason != "terminated":
        connection = _connection("gone", gone, say, at=clock(gone["at"]))
    elif agent["connected"]:
        connection = say("still open", ip=_from(agent, say))
    why = _why_offline(reason, offline, earlier, say)
    return say("offline", at=clock(offline["at"]), why=why, connection=connection)


def _why_offline(reason: str, offline: Document, earlier: Sequence[Document], say: Say) -> str:
    lost = _newest(earlier, "disconnected")
    missed = _newest(earlier, "missed")
    match reason:
        case "terminated":
            who = "drain" if offline["data"].get("drain") else "operator"
            return say(f"stopped by {who}", lost=_lost(offline["data"], say))
        case "reconnect_timeout" if lost is not None:
            waited = span(_passed(earlier, lost, offline), say)
            return _connection("lost", lost, say, span=waited)
        case "reconnect_timeout":
            return say("not back")
        case "missed_heartbeats" if missed is not None:
            return say("silent", missed=_missed(missed["data"], say))
        case "heartbeat_timeout" if lost is not None and lost["data"]["cause"] == reason:
            return _connection("its connection", lost, say)
        case "heartbeat_timeout":
            return say("silent before")
        case "no_connection":
            return say("never sent")
        case "operator":
            return say("removed")
    return reason.replace("_", " ")


def _connection(phrase: str, lost: Document, say: Say, **fields: object) -> str:
    """A phrase about a connection and its end."""
    return say(phrase, ip=_from(lost, say), end=_end(lost["data"], say), **fields)


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


def _from(what: Document, say: Say) -> str:
    ip = what.get("ip") or what.get("data", {}).get("ip")
    return say("from", ip=ip) if ip else ""


def _end(data: Document, say: Say) -> str:
    """How a connection ended, after its name."""
    words = f"{data['code']} {data['reason']}".rstrip()
    match data["initiator"], data["cause"]:
        case "network", _:
            return say("end network")
        case "peer", _ if data["code"] == 1005:
            return say("end without code")
        case "peer", _:
            return say("end peer", words=words)
        case _, "slow_consumer" | "ping_timeout" | "heartbeat_timeout" | "taken_over" as cause:
            return say(f"end {cause}", words=words)
        case _ if data["code"] == 1006:
            return say("end cut")
    return say("end server", words=words)


def _missed(data: Document, say: Say, phrase: str = "missed") -> str:
    silent = span(data["silent_ms"] / 1000, say)
    if data["misses"] == 1:
        return say(f"{phrase} one", span=silent)
    return say(phrase, count=data["misses"], span=silent)


def _describe_connected(data: Document, say: Say) -> str:
    parts = [
        say(
            "entry connected",
            ip=data["ip"],
            dialect=data["dialect"],
            introduced_by=data["introduced_by"],
        )
    ]
    if data["took_over"]:
        parts.append(say("took over"))
    if data["session_restored"]:
        parts.append(say("restored"))
    return ", ".join(parts)


def _describe_disconnected(data: Document, say: Say) -> str:
    whose = "earlier" if data["stale"] else "entry disconnected"
    parts = [say(whose, end=_end(data, say))]
    if data["initiator"] == "server" and data["code"] != 1006:
        answer = data["answer"]
        if not answer:
            parts.append(say("no answer"))
        elif answer != data["code"]:
            parts.append(say("answer", answer=answer))
    if data["lasted_ms"] is not None:
        parts.append(say("lasted", span=span(data["lasted_ms"] / 1000, say)))
    if data["rtt_us"]:
        parts.append(say("round trip", ms=data["rtt_us"] / 1000))
    return ", ".join(parts)


def _describe_terminated(data: Document, say: Say) -> str:
    stopped = span(data["latency_ms"] / 1000, say)
    return say("entry terminated", span=stopped, lost=_lost(data, say))


def _lost(data: Document, say: Say) -> str:
    """That it stopped, and yet not all of its streams ended."""
    words = data.get("incomplete")
    if words is None:
        return ""
    return say("incomplete", words=f" ({words})" if words else "")


def _describe_clock(data: Document, say: Say) -> str:
    way = "forward" if data["seconds"] > 0 else "back"
    return say(f"set {way}", span=span(abs(data["seconds"]), say))


def _describe_unterminated(data: Document, say: Say) -> str:
    if data["outcome"] == "timed_out":
        return say("timed out")
    return say("failed", said=f": {data['message']}" if data["message"] else "")


def _describe_progress(data: Document, say: Say) -> str:
    return say("entry progress", stage=data["stage"], seconds=data["granted_ms"] / 1000)


def _describe_maintenance(data: Document, say: Say) -> str:
    return say(f"maintenance {'on' if data['enabled'] else 'off'}")


def _plain(phrase: str, *fields: str) -> Callable[[Document, Say], str]:
    """A phrase that takes these fields of an entry as they are."""
    return lambda data, say: say(phrase, **{name: data[name] for name in fields})


_KINDS: Final[dict[str, Callable[[Document, Say], str]]] = {
    "connected": _describe_connected,
    "disconnected": _describe_disconnected,
    "missed": lambda data, say: _missed(data, say, "entry missed"),
    "recovered": _plain("entry recovered", "by"),
    "online": _plain("entry online"),
    "offline": _plain("entry offline", "reason_code"),
    "asked": _plain("entry asked"),
    "terminated": _describe_terminated,
    "unterminated": _describe_unterminated,
    "refused": _plain("entry refused", "status", "message"),
    "progress": _describe_progress,
    "started": _plain("entry started", "version"),
    "stopped": _plain("entry stopped"),
    "maintenance": _describe_maintenance,
    "clock": _describe_clock,
    "drain": _plain("entry drain", "intent"),
}


def _parse(timestamp: str) -> datetime:
    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.replace(tzinfo=timezone.utc)
