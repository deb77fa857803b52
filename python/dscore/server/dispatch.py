"""From a batch of the core's events to what decides: one look-up in a table for each."""

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dscore.log import get_logger
from dscore.policy.admission import leave_session
from dscore.server.context import Context
from dscore.server.conversations import Conversations
from dscore.server.draining import Draining
from dscore.server.hooks import raise_later
from dscore.server.introductions import Introductions
from dscore.server.keeping import drop_configs, keep
from dscore.server.onlookers import Onlookers
from dscore.server.requests import Requests
from dscore.server.terminations import Terminations
from dscore.server.timers import Timers
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore._core import (
        AgentRow,
        Answer,
        Beat,
        Closed,
        Drained,
        Event,
        HttpGone,
        HttpRequest,
        LastSeen,
        Missed,
        Outcome,
        Progress,
    )
    from dscore.http.asgi import Bridge
    from dscore.policy.liveness import Ending

_log = get_logger("dscore.server")


class Dispatch:
    """Takes batches. What an event raises is logged and goes no further."""

    def __init__(
        self,
        context: Context,
        core: ModuleType,
        *,
        introductions: Introductions,
        conversations: Conversations,
        onlookers: Onlookers,
        terminations: Terminations,
        requests: Requests,
        watchers: Watchers,
        timers: Timers,
        bridge: "Bridge",
    ) -> None:
        self._context = context
        self._watchers = watchers
        self._terminations = terminations
        self._requests = requests
        self._timers = timers
        self._bridge = bridge
        self.draining: Draining | None = None
        """The drain, which hears of outcomes and ends; None before one has begun."""
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            core.Opened: introductions.opened,
            core.Connected: onlookers.connected,
            core.Introduction: introductions.introduction,
            core.Message: conversations.message,
            core.Reply: requests.reply,
            core.Beat: self._beat,
            core.Missed: self._missed,
            core.Answer: self._answer,
            core.Progress: self._progress,
            core.Outcome: self._outcome,
            core.Closed: self._closed,
            core.Drained: self._drained,
            core.HttpRequest: self._http_request,
            core.HttpGone: self._http_gone,
            core.LastSeen: self._last_seen,
            core.Looked: context.clock.looked,
            core.Gap: context.gaps.noticed,
        }

    def batch(self, events: "list[Event]") -> None:
        # Before anything begins to wait: what was not looked at until now must not count for it.
        self._context.clock.read()
        now = self._context.pool.now_ms()
        handlers = self._handlers
        for event in events:
            try:
                handlers[type(event)](event, now)
            # One bad event must not lose the rest, and no task is cancelled here: the loop calls.
            except BaseException as error:  # noqa: PERF203
                _log.exception("event_failed", kind=type(event).__name__, conn_id=_conn(event))
                if isinstance(error, SystemExit | KeyboardInterrupt):
                    raise_later(error)
        self._timers.rearm(now)

    def end(self, record: "AgentRow", ending: "Ending", code: int, reason: str, now: int) -> None:
        """The agent was terminated, or removed: offline at once, its session over, its connection
        let go."""
        context = self._context
        had_connection = record.conn != 0
        context.fleet.release(record, now)
        context.store.drop(record.agent_id)
        hooks = context.hooks
        if had_connection and hooks.on_disconnect is not None:
            hooks.fire(hooks.on_disconnect, context.agent(record), code, reason)
        changed = context.fleet.feed(record, ending, now)
        keep(context, record, now, is_heard=record.state == "terminated")
        if record.config is not None:
            drop_configs(context)
        if changed:
            self._watchers.announce(record)

    def _beat(self, event: "Beat", now: int) -> None:
        context = self._context
        record = context.fleet.owner(event.conn)
        if record is None:
            return
        context.recorder.recovered(record, event, now)
        # A connection_check_response shows life and leaves last_heartbeat as it is.
        if event.kind == "heartbeat":
            context.fleet.heard(record, heartbeat_ms=now)
        if context.fleet.feed(record, "beat", now):
            context.recorder.changed(record, now)
            keep(context, record, now, is_heard=True)
            _log.info("agent_online", agent_id=record.agent_id, conn_id=event.conn)
            self._watchers.announce(record)

    def _missed(self, event: "Missed", now: int) -> None:
        record = self._context.fleet.owner(event.conn)
        if record is None:
            return
        # From the first miss on, so that no heartbeat between this event and the answer to it goes
        # unnoticed when it matters: at the last one.
        self._context.pool.hear_next_beat(event.conn)
        self._context.recorder.missed(record, event, now)
        if self._context.fleet.missed(record, event.misses, now):
            keep(self._context, record, now)
            self._watchers.announce(record)

    def _answer(self, event: "Answer", now: int) -> None:
        if not self._context.chatter.allows(event.conn, now):
            return
        agent_id = self._agent_id(event.conn)
        if agent_id is not None:
            self._context.recorder.refused(agent_id, event, now)
        _log.warning(
            "termination_refused",
            agent_id=agent_id,
            request_id=event.request_id,
            status=event.status,
            message=event.message,
        )

    def _progress(self, event: "Progress", now: int) -> None:
        if not self._context.chatter.allows(event.conn, now):
            return
        agent_id = self._agent_id(event.conn)
        if agent_id is not None:
            self._context.recorder.progress(agent_id, event, now)
        _log.info(
            "termination_progress",
            agent_id=agent_id,
            request_id=event.request_id,
            stage=event.stage,
            granted_ms=event.granted_ms,
        )

    def _outcome(self, event: "Outcome", now: int) -> None:
        # Of each field one reading: a fleet that stops brings thousands of these.
        context, conn, outcome, drain = self._context, event.conn, event.outcome, event.drain
        latency_ms, words = event.latency_ms, event.message if event.incomplete else None
        record = context.fleet.named_by(conn)
        if outcome == "acked":
            agent_id, request_id = None if record is None else record.agent_id, event.request_id
            if words is not None:
                _log.warning(
                    "agent_incomplete", agent_id=agent_id, request_id=request_id, message=words
                )
            _log.info(
                "agent_terminated",
                message=f"DeepStream client {agent_id} terminated gracefully",
                agent_id=agent_id,
                request_id=request_id,
                latency_ms=latency_ms,
            )
            # It may have another connection by now, or none.
            if record is not None and record.conn == conn:
                context.recorder.terminated(record, now, latency_ms, words, drain=drain)
                self.end(record, "terminated", 1000, "Client terminated", now)
        elif outcome != "notified":
            self._not_terminated(record, event, now)
        if not drain:
            self._terminations.outcome(event)
            self._spare(record, conn, now)
        elif self.draining is not None:
            self.draining.outcome(conn, outcome, latency_ms, words)

    def _not_terminated(self, record: "AgentRow | None", event: "Outcome", now: int) -> None:
        if record is not None and record.conn == event.conn:
            self._context.recorder.unterminated(record, event, now)
        _log.warning(
            "agent_not_terminated",
            agent_id=None if record is None else record.agent_id,
            request_id=event.request_id,
            outcome=event.outcome,
            message=event.message,
        )

    def _spare(self, record: "AgentRow | None", conn: int, now: int) -> None:
        """A request is over. Unless another one waits, the agent is one like all others again."""
        if record is None or record.conn != conn or self._terminations.is_waiting(conn):
            return
        # A drain lets no agent go: its own request has begun to wait by then.
        if self._context.gate != "draining":
            self._context.fleet.feed(record, "spared", now)

    def _closed(self, event: "Closed", now: int) -> None:
        context, conn = self._context, event.conn
        fleet = context.fleet
        record = fleet.named_by(conn)
        if record is not None:
            context.recorder.disconnected(record, event, now)
            if context.deliveries.under_way:
                context.deliveries.closed(record, conn)
            # A stale connection's end never touches its successor.
            if record.conn == conn:
                self._lost(record, event, now)
            elif event.heartbeat_ms:
                self._heard_before_it_went(record, event, now)
        if fleet.close(conn):
            self._watchers.end(conn)
        self._terminations.closed(conn)
        self._requests.closed(conn)
        if self.draining is not None:
            self.draining.closed(conn)
        if fleet.is_empty():
            context.emptied.set()

    def _heard_before_it_went(self, record: "AgentRow", event: "Closed", now: int) -> None:
        """The last heartbeat over a connection that is not the agent's any more: it was terminated,
        or has another one by now."""
        if not record.is_known:
            return
        if record.last_heartbeat is None or record.last_heartbeat < event.heartbeat_ms:
            self._context.fleet.heard(record, heartbeat_ms=event.heartbeat_ms)
            keep(self._context, record, now)

    def _lost(self, record: "AgentRow", event: "Closed", now: int) -> None:
        context = self._context
        _log.info(
            "agent_disconnected",
            agent_id=record.agent_id,
            conn_id=event.conn,
            close_code=event.code,
            reason=event.reason,
            initiator=event.initiator,
            cause=event.cause,
        )
        # The grace of a young heartbeat counts from it, and not from the last bulk reading.
        context.fleet.heard(record, heartbeat_ms=event.heartbeat_ms)
        context.fleet.release(record, now)
        leave_session(context.store, record.agent_id, close_code=event.code, now=context.age())
        if event.cause == "heartbeat_timeout":
            changed = context.fleet.feed(record, "timed_out", now)
        else:
            changed = context.fleet.feed(record, "lost", now)
        keep(context, record, now, is_heard=event.initiator == "peer")
        if record.config is not None:
            drop_configs(context)
        hooks = context.hooks
        if hooks.on_disconnect is not None:
            hooks.fire(hooks.on_disconnect, context.agent(record), event.code, event.reason)
        if changed:
            context.recorder.changed(record, now)
            self._watchers.announce(record)

    def _drained(self, event: "Drained", now: int) -> None:
        self._watchers.drained(event.conn)
        self._context.deliveries.drained(event.conn, self._context.portion_bytes)
        self._bridge.drained(event)

    def _http_request(self, event: "HttpRequest", now: int) -> None:
        self._bridge.handle(event)

    def _http_gone(self, event: "HttpGone", now: int) -> None:
        self._bridge.gone(event)

    def _last_seen(self, event: "LastSeen", now: int) -> None:
        self._context.readings.answered(event)

    def _agent_id(self, conn: int) -> str | None:
        record = self._context.fleet.named_by(conn)
        return None if record is None else record.agent_id


def _conn(event: object) -> int | None:
    return getattr(event, "conn", None)
