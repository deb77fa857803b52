"""What watchers are told (PROTOCOL.md §4): encoded once, sent to those whose filter fits."""

import asyncio
from collections.abc import Iterator
from itertools import islice

from dscore.context import Context
from dscore.messages import ClientReconnected, ClientStatusChanged, DrainProgress, timestamp
from dscore.policy.drain import DrainStatus
from dscore.registry import AgentRecord, Watcher
from dscore.texts import text

SNAPSHOT_SLICE = 256
"""Entries of a snapshot sent before the watcher must have taken them: about 50 KB, far below an
outbox's limit."""


class Watchers:
    """Tells watchers. With nobody watching every call is over at once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reading: dict[int, asyncio.Event] = {}
        """Watchers in the middle of a snapshot: set when their outbox has room."""

    def announce(self, record: AgentRecord) -> None:
        """An agent's status has changed: the policy hears of it too."""
        context = self._context
        hooks = context.hooks
        if hooks.on_status_change is not None:
            agent = context.agent(record)
            hooks.fire(hooks.on_status_change, agent, record.status, record.reason_code)
        if context.registry.watchers or context.config.monitoring.broadcast_to_agents:
            conns = self._audience(record)
            if conns:
                context.pool.send_many(conns, self._status(record))

    def reconnected(self, record: AgentRecord, now: int) -> None:
        """Tells that an agent came back; once for each of its connections."""
        if record.reported_back:
            return
        record.reported_back = True
        conns = self._audience(record)
        if conns:
            message = ClientReconnected(record.agent_id, timestamp(self._context.unix(now)))
            self._context.pool.send_many(conns, message.dump())

    def progress(self, status: DrainStatus) -> None:
        conns = self._audience(None)
        if conns:
            message = DrainProgress(
                intent=status.intent,
                total=status.total,
                acked=status.acked,
                failed=status.failed,
                timed_out=status.timed_out,
                vanished=status.vanished,
                notified=status.notified,
                pending=status.pending,
            )
            self._context.pool.send_many(conns, message.dump())

    def begin_snapshot(self, conn: int) -> list[bytes]:
        """The first slice of the present state of all that fits the filter; the rest follows by
        itself."""
        entries = self._snapshot(conn)
        first = list(islice(entries, SNAPSHOT_SLICE))
        if len(first) == SNAPSHOT_SLICE:
            watcher = self._context.registry.watchers[conn]
            self._context.tasks.spawn(self._send_rest(conn, watcher, entries), "snapshot")
        return first

    def snapshot_again(self, conn: int) -> None:
        """The whole state, for a watcher of before, in a while: however often it asks in one turn
        of the loop, only the last of its snapshots is made."""
        watcher = self._context.registry.watchers[conn]
        self._context.tasks.spawn(self._send_rest(conn, watcher, self._snapshot(conn)), "snapshot")

    def drained(self, conn: int) -> None:
        """The outbox of a connection has room again."""
        reading = self._reading.get(conn)
        if reading is not None:
            reading.set()

    def closed(self, conn: int) -> None:
        reading = self._reading.pop(conn, None)
        if reading is not None:
            reading.set()

    def _audience(self, record: AgentRecord | None) -> list[int]:
        """Whom to tell of an agent; without one, every watcher."""
        registry = self._context.registry
        if self._context.config.monitoring.broadcast_to_agents:
            return list(registry.introduced)
        if record is None:
            return list(registry.watchers)
        status = record.status
        return [
            conn
            for conn, watcher in registry.watchers.items()
            if watcher.filter.fits(record.agent_id, status)
        ]

    def _status(self, record: AgentRecord, *, snapshot: bool = False) -> bytes:
        context = self._context
        code = record.reason_code
        last = record.last_heartbeat
        return ClientStatusChanged(
            agent_id=record.agent_id,
            status=record.status,
            reason=None if code is None else text(context.config.log.language, code),
            reason_code=code,
            last_heartbeat=None if last is None else timestamp(context.unix(last)),
            snapshot=snapshot,
        ).dump()

    def _snapshot(self, conn: int) -> Iterator[bytes]:
        # Each entry is the state at the moment it is written. A change in between is sent at once
        # and may come before the agent's own entry, which then says the same: the last word on an
        # agent is always true.
        registry = self._context.registry
        watcher = registry.watchers.get(conn)
        if watcher is None:
            return
        for record in list(registry.agents.values()):
            known = registry.agents.get(record.agent_id) is record
            if known and watcher.filter.fits(record.agent_id, record.status):
                yield self._status(record, snapshot=True)

    async def _send_rest(self, conn: int, watcher: Watcher, entries: Iterator[bytes]) -> None:
        pool, watchers = self._context.pool, self._context.registry.watchers
        if watchers.get(conn) is not watcher:
            return
        if conn in self._reading:  # an earlier snapshot waits for room: it finds that it is over
            self._reading[conn].set()
        room = self._reading[conn] = asyncio.Event()
        try:
            # Otherwise it has gone, or replaced its filter: then this is nobody's snapshot.
            while watchers.get(conn) is watcher:
                part = list(islice(entries, SNAPSHOT_SLICE))
                if not part:
                    break
                room.clear()
                for entry in part[:-1]:
                    pool.send(conn, entry)
                pool.send(conn, part[-1], notify=True)
                await room.wait()
        finally:
            if self._reading.get(conn) is room:
                del self._reading[conn]
