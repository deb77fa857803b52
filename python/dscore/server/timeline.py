"""Timelines: what happens to each agent, written down for the store and for readers.

| kind         | data                                                                             |
|--------------|----------------------------------------------------------------------------------|
| connected    | ip, dialect, introduced_by, generation, took_over, session_restored              |
| disconnected | code, answer, reason, initiator, cause, ip, lasted_ms, heartbeat_at, rtt_us,     |
|              | stale                                                                            |
| missed       | misses, silent_ms; a connection_check was sent with it                           |
| recovered    | by: heartbeat or connection_check_response, after misses                         |
| online       |                                                                                  |
| offline      | reason_code                                                                      |
| asked        | an operator had it sent terminate_app                                            |
| terminated   | latency_ms, drain: it answered OK, was closed 1000 and is offline; incomplete:   |
|              | its words, where a stream did not reach its end                                  |
| unterminated | outcome, message, drain: the same came to nothing                                |
| refused      | status, message: its answer to terminate_app was not OK                          |
| progress     | stage, granted_ms: it is still draining                                          |

In every agent's timeline belongs what happened to the server, kept once, in its own:

| started     | version |
| stopped     |         |
| maintenance | enabled |
| drain       | intent  |
| clock       | seconds: the wall clock was set by so much |

The fleet writes disconnected, offline, terminated and unterminated itself. In `disconnected`,
`code` is what the side that began said and `answer` the other side's word, 0 for none; `stale`
marks the end of a connection that was not the agent's any more. Times are Unix milliseconds. What
becomes of all this for a reader is in `dscore.explain`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from dscore._core import MAX_TEXT
from dscore.store import Entry

if TYPE_CHECKING:
    from dscore._core import AgentRow, Beat, Fleet, Missed, Progress, TerminationRefused
    from dscore.store.behind import Behind


class Disconnect(NamedTuple):
    """How a connection ended, as it is counted: none of it can be chosen by a peer."""

    reason: str
    code: str
    initiator: str


class Timeline:
    """Writes them; nothing here decides anything."""

    def __init__(self, fleet: "Fleet", unix_ms: Callable[[int], int]) -> None:
        """
        Args:
            unix_ms: makes Unix milliseconds of a time on the pool's clock, as every `now` here is.
        """
        self._fleet = fleet
        self._unix_ms = unix_ms

    def connected(
        self, record: "AgentRow", now: int, *, took_over: bool, session_restored: bool
    ) -> None:
        self._write(
            record,
            now,
            "connected",
            {
                "ip": record.ip,
                "dialect": record.dialect,
                "introduced_by": record.introduced_by,
                "generation": record.generation,
                "took_over": took_over,
                "session_restored": session_restored,
            },
        )

    def missed(self, record: "AgentRow", event: "Missed", now: int) -> None:
        self._write(record, now, "missed", {"misses": event.misses, "silent_ms": event.silent_ms})

    def recovered(self, record: "AgentRow", event: "Beat", now: int) -> None:
        self._write(record, now, "recovered", {"by": event.kind})

    def online(self, record: "AgentRow", now: int) -> None:
        """An agent is online by a heartbeat, and no other entry says so."""
        self._write(record, now, "online", {})

    def asked(self, record: "AgentRow", now: int) -> None:
        self._write(record, now, "asked", {})

    def refused(self, record: "AgentRow", event: "TerminationRefused", now: int) -> None:
        status, message = event.status[:MAX_TEXT], event.message[:MAX_TEXT]
        self._write(record, now, "refused", {"status": status, "message": message})

    def progress(self, record: "AgentRow", event: "Progress", now: int) -> None:
        stage = event.stage[:MAX_TEXT]
        self._write(record, now, "progress", {"stage": stage, "granted_ms": event.granted_ms})

    def server(self, kind: str, now: int, **data: Any) -> None:
        """Something that concerns every agent."""
        self._write(None, now, kind, data)

    def _write(
        self, record: "AgentRow | None", now: int, kind: str, data: Mapping[str, Any]
    ) -> None:
        self._fleet.record(record, self._unix_ms(now), kind, orjson.dumps(data))


async def read_timeline(
    store: "Behind", record: "AgentRow", *, limit: int, before: int | None = None
) -> tuple[list[Entry], int | None]:
    """A page of an agent's timeline, newest first, with what happened to the server meanwhile.

    Returns:
        The entries, and the `before` of the next page if there is one.
    """
    own = await store.timeline(record, limit=limit + 1, before=before)
    if not own:
        return [], None
    server = await store.timeline(None, limit=limit + 1, before=before)
    meanwhile = [entry for entry in server if entry.number > own[-1].number]
    merged = sorted((*own, *meanwhile), key=lambda entry: entry.number, reverse=True)
    page = merged[:limit]
    return page, page[-1].number if len(merged) > limit else None
