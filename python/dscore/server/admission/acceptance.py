"""Bringing in what may come in: the fleet, the session, the ack, and who is told."""

from typing import TYPE_CHECKING

from dscore.log import get_logger
from dscore.messages import (
    AppReady,
    Heartbeat,
    ReconnectionAck,
    ReconnectionSuccess,
    Watch,
)
from dscore.server.fleet_settings import app_ready_ack
from dscore.server.live import Live
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore._core import AgentRow

_log = get_logger("dscore.admission")


class Acceptance:
    """Makes a connection an agent's or a watcher's. Whether it may be is decided before
    (`judge`)."""

    def __init__(self, live: Live, watchers: Watchers) -> None:
        self._live = live
        self._watchers = watchers

    def agent(
        self, conn: int, message: AppReady | Heartbeat | ReconnectionSuccess, kind: str, now: int
    ) -> None:
        live = self._live
        if live.fleet.is_full(message.agent_id):
            self._make_room(now)
        ip = message.ip_address if isinstance(message, Heartbeat) else None
        introduced = live.fleet.introduce(conn, message.agent_id, kind, now, ip=ip)
        if introduced is None:
            return
        record, previous = introduced.agent, introduced.previous
        if conn in self._watchers.by_conn:
            self._watchers.end(conn)
        if previous:
            live.counters.takeovers_total += 1
            live.pool.close_connection(previous, 4409, "taken over", "taken_over")
            self._watchers.end(previous)
        came_back = introduced.was_away or kind == "reconnection_success"
        replies: list[bytes] = []
        if isinstance(message, AppReady):
            replies, restored = self._open(record, message)
        else:
            # A heartbeat is answered by the core, as every other one.
            restored = self._open_session(record, None, None)
        live.counters.sessions_restored_total += restored
        live.timeline.connected(record, now, took_over=previous != 0, session_restored=restored)
        # One without a deadline (of the Socket.IO contract) counts as notified in a drain.
        live.pool.accept(conn, record.agent_id, replies, notice_only=kind != "app_ready")
        self.told(
            record,
            kind,
            now,
            has_outbox=restored or previous != 0,
            changed=introduced.changed,
            came_back=came_back,
        )

    def told(
        self,
        record: "AgentRow",
        kind: str,
        now: int,
        *,
        has_outbox: bool,
        changed: bool,
        came_back: bool,
    ) -> None:
        """What follows when an agent has been let in and has its ack.

        Args:
            kind: the `type` of the message that introduced it.
            has_outbox: something may have waited for it.
            changed: its status is another one now.
            came_back: within its grace period.
        """
        live, hooks = self._live, self._live.hooks
        if has_outbox:
            live.deliveries.begin(record, live.portion_bytes)
        _log.debug(
            "agent_introduced",
            agent_id=record.agent_id,
            conn_id=record.conn,
            introduced_by=kind,
        )
        if hooks.on_connect is not None:
            hooks.fire(hooks.on_connect, live.agent(record))
        if changed:
            self._watchers.announce(record)
        if came_back:
            self._watchers.reconnected(record, now)

    def watcher(self, conn: int, message: Watch) -> None:
        live = self._live
        if live.fleet.may_introduce(conn):
            live.pool.accept_watcher(conn)
        self._watchers.begin(conn, message.filter, snapshot=message.snapshot)

    def _make_room(self, now: int) -> None:
        """For one more id: ids come from the network, and each could be a new one."""
        live = self._live
        record = live.fleet.longest_absent()
        if record is None:
            return
        if live.fleet.expire_now(record, now):
            self._watchers.announce(record)
        live.fleet.forget(record)
        live.counters.agents_evicted_total += 1

    def again(self, record: "AgentRow", message: AppReady, now: int) -> None:
        live = self._live
        if record.introduced_by == "app_ready":
            # Its session was settled by the first one; a repetition must not throw anything away.
            for reply in self._ack(message.reconnection, message.reconnection):
                live.pool.send(record.conn, reply)
            return
        # It came in with a heartbeat, and turns out to know app_ready, so terminate_app too.
        replies, _ = self._open(record, message)
        live.fleet.set_introduced_by(record, "app_ready")
        live.pool.accept(record.conn, record.agent_id, replies, notice_only=False)
        live.deliveries.begin(record, live.portion_bytes)

    def _open(self, record: "AgentRow", message: AppReady) -> tuple[list[bytes], bool]:
        """Opens the session.

        Returns:
            The ack of an app_ready; whether the agent's session was restored.
        """
        restored = self._open_session(record, message.reconnection, message.config)
        return self._ack(message.reconnection, restored), restored

    def _open_session(
        self, record: "AgentRow", reconnection: bool | None, config: bytes | None
    ) -> bool:
        live = self._live
        restored = live.fleet.open_session(
            record,
            reconnection=reconnection,
            age=live.age(),
            ttl=round(live.config.session.ttl * 1000),
        )
        live.store.changed()
        if config is not None or not restored:
            live.fleet.set_config(record, config)
        return restored

    def _ack(self, reconnection: bool, restored: bool) -> list[bytes]:
        if reconnection:
            return [ReconnectionAck(restored).dump()]
        ack = app_ready_ack(self._live.config, restored=restored)
        return [] if ack is None else [ack]
