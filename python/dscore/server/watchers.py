"""What watchers are told (PROTOCOL.md §4).

A watcher that keeps up is sent each change at once, encoded once for all of them. One that does not
read as fast as the fleet changes falls behind: what it has not been told is kept by agent, so it
costs no more than the fleet is large, and is told as it stands when the watcher has read what was
sent before. Nothing is dropped: the last word on each agent always comes, in the order of the last
words. A snapshot is the same with a longer beginning: the state of one moment, then what changed
after it.

Invariant: a watcher with `credit` left has nothing to be told yet, but for a snapshot that begins
in the next turn of the loop. One without has been sent a last message with `notify`: the core says
when it has read that, and it has its credit back.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from dscore.messages import (
    ClientReconnected,
    ClientStatusChanged,
    DrainProgress,
    MaintenanceChanged,
    ReasonCode,
    Status,
    timestamp,
)
from dscore.policy.drain import DrainStatus
from dscore.registry import WINDOW, AgentRecord, Change, Watcher
from dscore.server.context import Context
from dscore.texts import text


class Watchers:
    """Tells watchers. With nobody watching every call is over at once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._moved = asyncio.Event()
        """Set whenever somebody may have caught up."""

    def begin(self, conn: int, *, snapshot: bool) -> None:
        """A connection watches from here on, and is sent the present state of all that fits its
        filter first, if it asked for it."""
        watcher = self._context.registry.watchers[conn]
        # With another filter what was left of an earlier one is nobody's snapshot any more.
        watcher.snapshot = None
        if snapshot and not watcher.wants_snapshot:
            # However often it asks in one turn of the loop, it costs one snapshot.
            asyncio.get_running_loop().call_soon(self._begin_snapshot, conn, watcher)
        watcher.wants_snapshot = snapshot

    def drained(self, conn: int) -> None:
        """A connection has read what was sent to it."""
        watcher = self._context.registry.watchers.get(conn)
        if watcher is not None:
            watcher.credit = WINDOW
            self._catch_up(conn, watcher)
            self._moved.set()

    def closed(self) -> None:
        """A watcher's connection has ended."""
        self._moved.set()

    async def catch_up(self, seconds: float) -> None:
        """Waits until everybody has been told everything, or for so long."""
        with suppress(asyncio.TimeoutError):
            await self._context.clock.wait_for(self._until_nobody_is_behind(), seconds)

    def announce(self, record: AgentRecord) -> None:
        """An agent's status has changed: the policy hears of it too."""
        context = self._context
        hooks = context.hooks
        if hooks.on_status_change is not None:
            agent = context.agent(record)
            hooks.fire(hooks.on_status_change, agent, record.status, record.reason_code)
        # `_has_audience`, without the call: a drain comes by here with every agent.
        if context.registry.watchers or context.config.monitoring.broadcast_to_agents:
            # It has changed: it was what it is not.
            self._tell(Change(record, was_online=record.status == "offline"))

    def reconnected(self, record: AgentRecord, now: int) -> None:
        """Tells that an agent came back; once for each of its connections."""
        if record.reported_back:
            return
        record.reported_back = True
        if self._has_audience():
            self._tell(Change(record, was_online=None, back_at=now))

    def progress(self, status: DrainStatus) -> None:
        """Tells how far a drain is; seldom enough to be sent to whoever is behind as well."""
        if not self._has_audience():
            return
        message = DrainProgress(
            intent=status.intent,
            total=status.total,
            acked=status.acked,
            failed=status.failed,
            timed_out=status.timed_out,
            vanished=status.vanished,
            notified=status.notified,
            incomplete=status.incomplete,
            pending=status.pending,
        )
        context = self._context
        everybody = context.config.monitoring.broadcast_to_agents
        conns = context.everybody() if everybody else list(context.registry.watchers)
        context.pool.send_many(conns, message.dump())

    def maintenance(self, *, enabled: bool) -> None:
        """Tells those that stay: agents which watch as well are sent away."""
        conns = self._context.registry.only_watching()
        if conns:
            self._context.pool.send_many(conns, MaintenanceChanged(enabled).dump())

    async def _until_nobody_is_behind(self) -> None:
        while any(watcher.is_behind for watcher in self._context.registry.watchers.values()):
            self._moved.clear()
            await self._moved.wait()

    def _begin_snapshot(self, conn: int, watcher: Watcher) -> None:
        is_watching = self._context.registry.watchers.get(conn) is watcher
        # Without credit it begins when the watcher has read what was sent before.
        if is_watching and watcher.wants_snapshot and watcher.credit:
            self._catch_up(conn, watcher)

    def _has_audience(self) -> bool:
        context = self._context
        return bool(context.registry.watchers) or context.config.monitoring.broadcast_to_agents

    def _tell(self, change: Change) -> None:
        """Sends it to whoever keeps up, and keeps it for the others."""
        context = self._context
        registry, record = context.registry, change.record
        status = record.status
        conns = []
        for conn, watcher in registry.watchers.items():
            if watcher.credit > 1 and not watcher.wants_snapshot:
                if watcher.filter.fits(record.agent_id, status):
                    watcher.credit -= 1
                    conns.append(conn)
            else:
                self._keep(watcher, change)
                if watcher.credit and not watcher.wants_snapshot:
                    self._catch_up(conn, watcher)
        if context.config.monitoring.broadcast_to_agents:
            conns += [conn for conn in context.everybody() if conn not in registry.watchers]
        if conns:
            for message in self._messages(change):
                context.pool.send_many(conns, message)

    def _keep(self, watcher: Watcher, change: Change) -> None:
        agent_id = change.record.agent_id
        before = watcher.behind.pop(agent_id, None)
        if before is not None:
            change = Change(
                change.record,
                change.was_online if before.was_online is None else before.was_online,
                before.back_at if change.back_at is None else change.back_at,
            )
        watcher.behind[agent_id] = change

    def _catch_up(self, conn: int, watcher: Watcher) -> None:
        """Sends what it is behind with, as far as its credit goes."""
        pool, messages = self._context.pool, self._take(watcher, watcher.credit)
        watcher.credit -= min(watcher.credit, len(messages))
        if messages:
            for message in messages[:-1]:
                pool.send(conn, message)
            pool.send(conn, messages[-1], notify=not watcher.credit)

    def _take(self, watcher: Watcher, limit: int) -> list[bytes]:
        """What a watcher is told next: `limit` messages, or one more, or all there is."""
        if watcher.wants_snapshot:
            watcher.wants_snapshot = False
            watcher.snapshot = self._snapshot(watcher)
            watcher.behind.clear()
        taken: list[bytes] = []
        if watcher.snapshot is not None:
            taken += islice(watcher.snapshot, limit)
            if len(taken) < limit:
                watcher.snapshot = None
        behind = watcher.behind
        while behind and len(taken) < limit:
            agent_id = next(iter(behind))
            change = behind.pop(agent_id)
            if watcher.filter.fits(agent_id, change.record.status):
                taken += self._messages(change)
        return taken

    def _messages(self, change: Change) -> Iterator[bytes]:
        """What a change, or several of the same agent, have come to by now."""
        record = change.record
        is_online = record.status == "online"
        # Away and back again while nobody was told is no change. Back and away again is news: of an
        # agent that was not known, or that is offline for another reason.
        if change.was_online is not None and not (change.was_online and is_online):
            yield self._state(
                record.agent_id, record.status, record.reason_code, record.last_heartbeat
            )
        if change.back_at is not None and is_online:
            moment = timestamp(self._context.unix(change.back_at))
            yield ClientReconnected(record.agent_id, moment).dump()

    def _snapshot(self, watcher: Watcher) -> Iterator[bytes]:
        # All that is told is taken down now, and encoded as it is sent: the state of one moment,
        # however long that takes.
        fits = watcher.filter.fits
        moment = [
            (record.agent_id, record.status, record.reason_code, record.last_heartbeat)
            for record in self._context.registry.agents.values()
            if fits(record.agent_id, record.status)
        ]
        return (self._state(*entry, snapshot=True) for entry in moment)

    def _state(
        self,
        agent_id: str,
        status: Status,
        code: ReasonCode | None,
        last_heartbeat: int | None,
        *,
        snapshot: bool = False,
    ) -> bytes:
        context = self._context
        last = None if last_heartbeat is None else timestamp(context.unix(last_heartbeat))
        return ClientStatusChanged(
            agent_id=agent_id,
            status=status,
            reason=None if code is None else text(context.config.log.language, code),
            reason_code=code,
            last_heartbeat=last,
            snapshot=snapshot,
        ).dump()
