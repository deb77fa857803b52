"""From an event of the core's to what decides: one look-up in a table."""

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dscore.log import get_logger
from dscore.server.acks import Acks
from dscore.server.address_limits import AddressLimits
from dscore.server.admission.acceptance import Acceptance
from dscore.server.admission.connects import Connects
from dscore.server.admission.judge import Judge
from dscore.server.hooks import raise_later
from dscore.server.live import Live
from dscore.server.messages import Messages
from dscore.server.notes import Notes
from dscore.server.terminations import Terminations
from dscore.server.tls_refusals import TlsRefusals
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore._core import (
        AgentRow,
        Beat,
        BodyPart,
        Connected,
        Drained,
        Event,
        GuestClosed,
        GuestMessage,
        HttpGone,
        HttpRequest,
        LastSeen,
        Left,
        Missed,
        Progress,
        TerminationRefused,
    )
    from dscore.http.asgi import Bridge

_log = get_logger("dscore.server")
_admission_log = get_logger("dscore.admission")


class Dispatch:
    """Takes the events that the fleet does not apply by itself. What one raises is logged and goes
    no further."""

    def __init__(
        self,
        live: Live,
        core: ModuleType,
        *,
        judge: Judge,
        messages: Messages,
        connects: Connects,
        terminations: Terminations,
        acks: Acks,
        watchers: Watchers,
        acceptance: Acceptance,
        bridge: "Bridge",
    ) -> None:
        self._live = live
        self._watchers = watchers
        self._bridge = bridge
        self._connects = connects
        self._acks = acks
        self.notes = Notes(live, watchers, terminations, acks, acceptance)
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            core.Connected: self._connected,
            core.Left: self._left,
            core.Introduction: judge.introduction,
            core.Message: messages.message,
            core.Reply: acks.reply,
            core.Beat: self._beat,
            core.Missed: self._missed,
            core.TerminationRefused: self._termination_refused,
            core.Progress: self._progress,
            core.Drained: self._drained,
            core.HttpRequest: self._http_request,
            core.BodyPart: self._body_part,
            core.HttpGone: self._http_gone,
            core.GuestMessage: self._guest_message,
            core.GuestClosed: self._guest_closed,
            core.LastSeen: self._last_seen,
            core.Looked: live.clock.looked,
            core.Gap: live.gaps.noticed,
            core.AddressRefused: AddressLimits().refused,
            core.TlsRefused: TlsRefusals(live.audit_trail).refused,
        }

    def handle(self, event: "Event", now: int) -> None:
        try:
            self._handlers[type(event)](event, now)
        # One bad event must not lose the rest, and no task is cancelled here: the loop calls.
        except BaseException as error:
            _log.exception("event_failed", kind=type(event).__name__, conn_id=_conn(event))
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise_later(error)

    def want(self) -> None:
        """Says what is to be heard of: hooks and settings are those of now."""
        live, hooks = self._live, self._live.hooks
        tells_statuses = hooks.on_status_change is not None
        live.fleet.want(
            connects=hooks.on_connect is not None,
            arrivals=_admission_log.says_debug,
            disconnects=hooks.on_disconnect is not None,
            statuses=tells_statuses,
            changes=tells_statuses or live.config.monitoring.broadcast_to_agents,
            times=live.times.offsets(),
            age=live.age(),
        )

    def remove(self, record: "AgentRow", reason: str, now: int) -> None:
        """The agent was removed: offline at once, its session over, its connection let go."""
        self.want()
        self._live.fleet.end(record, "removed", 1008, reason, now)
        self.notes.write_down(now)

    def expire(self, now: int, limit: int) -> None:
        """Ends the grace periods that are due, at most so many."""
        self.want()
        self._live.fleet.expire(now, limit)
        self.notes.write_down(now)

    def _connected(self, event: "Connected", now: int) -> None:
        live = self._live
        self._connects.connected(event, now)
        if event.namespace == "/" and (record := live.fleet.join_main(event.conn)) is not None:
            live.deliveries.begin(record, live.portion_bytes)

    def _left(self, event: "Left", now: int) -> None:
        """A client has left a namespace, and is in another one still."""
        self._acks.left(event.conn, event.namespace)
        if event.namespace == "/":
            self._live.fleet.leave_main(event.conn)
            self._watchers.end(event.conn)

    def _beat(self, event: "Beat", now: int) -> None:
        live = self._live
        record = live.fleet.owner(event.conn)
        if record is None:
            return
        live.timeline.recovered(record, event, now)
        # A connection_check_response shows life and leaves last_heartbeat as it is.
        if event.kind == "heartbeat":
            live.fleet.heard(record, heartbeat_ms=now)
        if live.fleet.feed(record, "beat", now):
            live.timeline.online(record, now)
            _log.info("agent_online", agent_id=record.agent_id, conn_id=event.conn)
            self._watchers.announce(record)

    def _missed(self, event: "Missed", now: int) -> None:
        record = self._live.fleet.owner(event.conn)
        if record is None:
            return
        # From the first miss on, so that no heartbeat between this event and the answer to it goes
        # unnoticed when it matters: at the last one.
        self._live.pool.hear_next_beat(event.conn)
        self._live.timeline.missed(record, event, now)
        if self._live.fleet.missed(record, event.misses, now):
            self._watchers.announce(record)

    def _termination_refused(self, event: "TerminationRefused", now: int) -> None:
        if not self._live.log_limit.allows(event.conn, now):
            return
        record = self._live.fleet.named_by(event.conn)
        if record is not None:
            self._live.timeline.refused(record, event, now)
        _log.warning(
            "termination_refused",
            agent_id=None if record is None else record.agent_id,
            request_id=event.request_id,
            status=event.status,
            message=event.message,
        )

    def _progress(self, event: "Progress", now: int) -> None:
        if self.notes.draining is not None:
            self.notes.draining.progressed(event.conn, event.stage, event.granted_ms, now)
        if not self._live.log_limit.allows(event.conn, now):
            return
        record = self._live.fleet.named_by(event.conn)
        if record is not None:
            self._live.timeline.progress(record, event, now)
        _log.info(
            "termination_progress",
            agent_id=None if record is None else record.agent_id,
            request_id=event.request_id,
            stage=event.stage,
            granted_ms=event.granted_ms,
        )

    def _drained(self, event: "Drained", now: int) -> None:
        self._watchers.drained(event.conn)
        self._live.deliveries.drained(event.conn, self._live.portion_bytes)
        self._bridge.drained(event)

    def _http_request(self, event: "HttpRequest", now: int) -> None:
        self._bridge.handle(event)

    def _body_part(self, event: "BodyPart", now: int) -> None:
        self._bridge.part(event)

    def _guest_message(self, event: "GuestMessage", now: int) -> None:
        self._bridge.message(event)

    def _guest_closed(self, event: "GuestClosed", now: int) -> None:
        self._bridge.closed(event)

    def _http_gone(self, event: "HttpGone", now: int) -> None:
        self._bridge.gone(event)

    def _last_seen(self, event: "LastSeen", now: int) -> None:
        self._live.readings.answered(event)


def _conn(event: object) -> int | None:
    return getattr(event, "conn", None)
