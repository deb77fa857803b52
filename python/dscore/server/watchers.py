"""What watchers are told (PROTOCOL.md §4).

A watcher that keeps up is sent each change at once, or in a storm of them five times a second
(`bursts`), encoded once for all of them. One that does not
read as fast as the fleet changes falls behind: what it has not been told is kept by agent, so it
costs no more than the fleet is large, and is told as it stands when the watcher has read what was
sent before. Nothing is dropped: the last word on each agent always comes, in the order of the last
words. A snapshot is the same with a longer beginning: the state of one moment, then what changed
after it. That looks at all agents, so snapshots begin one after the other, with a pause behind each
that took long; and those that are behind with most are ended where all together are with too much.

Invariant: a watcher with `credit` left has nothing to be told yet, but for a snapshot that begins
in the next turn of the loop. One without has been sent a last message with `notify`: the core says
when it has read that, and it has its credit back.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from time import perf_counter
from typing import NamedTuple

from dscore._core import AgentRow
from dscore.messages import (
    ClientReconnected,
    ClientStatusChanged,
    DrainProgress,
    MaintenanceChanged,
    ReasonCode,
    Status,
    WatchFilter,
    timestamp,
)
from dscore.policy.drain import DrainStatus
from dscore.server.bursts import Bursts
from dscore.server.live import Live
from dscore.translations import text

WINDOW = 256
"""Messages a watcher is sent before it must have read them: about 50 KB, far below an outbox's
limit."""
MAX_BEHIND = 500_000
"""Agents that all watchers together are behind with: some 100 MB. Of a large fleet more, or a few
pages that open at once would be too many."""
WHOLE_FLEETS = 32
"""As often all agents may be among them, whatever that is."""
SHORT = 0.005
"""Seconds; a snapshot that takes no longer to begin is followed by the next one at once."""
PAUSES = 4
"""So many times as long as any other took the loop has for everything else."""


class Watcher:
    """A connection that wants to be told of agents."""

    __slots__ = ("behind", "credit", "filter", "moment", "snapshot", "wants_snapshot")

    def __init__(self, filter: WatchFilter) -> None:
        self.filter = filter
        self.credit = WINDOW
        """Messages it may be sent before the core must say that it has read them."""
        self.wants_snapshot = False
        self.snapshot: Iterator[bytes] | None = None
        """What is left of the state it starts from."""
        self.moment = 0
        """Agents that are kept for it."""
        self.behind: dict[str, Change] = {}
        """Agents of which it has something to be told yet, the one that changed last at the end."""

    @property
    def held(self) -> int:
        """Agents of which something is kept for it."""
        return len(self.behind) + (self.moment if self.snapshot is not None else 0)

    @property
    def is_behind(self) -> bool:
        return self.wants_snapshot or self.snapshot is not None or bool(self.behind)


class Change(NamedTuple):
    """What a watcher has not been told of an agent."""

    agent: AgentRow
    was_online: bool | None
    """Whether it was online before its status changed; None: the status has not changed."""
    back_at: int | None = None
    """When it came back within its grace period, on the pool's clock; None: it did not."""


class Watchers:
    """Tells watchers. Without watchers every call is over at once."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.by_conn: dict[int, Watcher] = {}
        """Every connection that is told of changes: those that only watch, and agents that do so
        besides."""
        self._bursts = Bursts(live.pool)
        self._moved = asyncio.Event()
        """Set whenever a watcher may have caught up."""
        self._queue: dict[int, Watcher] = {}
        """Those whose snapshots are to begin, by connection; the first came first."""
        self._turn: asyncio.Handle | None = None
        self._free_at = 0.0
        """When the next snapshot may begin, in the loop's time."""

    def begin(
        self, conn: int, filter: WatchFilter, *, snapshot: bool, until_introduced: bool = False
    ) -> None:
        """A connection watches from here on, and is sent the present state of all that fits its
        filter first, if it asked for it.

        Args:
            until_introduced: it has not asked to watch, and may still become an agent's.
        """
        self._bursts.flush()
        self._live.fleet.watch(conn, until_introduced=until_introduced)
        watcher = self.by_conn.setdefault(conn, Watcher(filter))
        watcher.filter = filter
        # With another filter what was left of an earlier one is no snapshot any more.
        watcher.snapshot = None
        watcher.wants_snapshot = snapshot
        if snapshot:
            # However often it asks before its turn, it costs one snapshot.
            self._queue_snapshot(conn, watcher)

    def drained(self, conn: int) -> None:
        """A connection has read what was sent to it."""
        watcher = self.by_conn.get(conn)
        if watcher is not None:
            watcher.credit = WINDOW
            if watcher.wants_snapshot:
                self._queue_snapshot(conn, watcher)
            else:
                self._catch_up(conn, watcher)
            self._moved.set()

    def end(self, conn: int) -> None:
        """A connection watches no longer, or has ended."""
        self._bursts.flush()
        self._live.fleet.unwatch(conn)
        if self.by_conn.pop(conn, None) is not None:
            self._moved.set()

    async def catch_up(self, seconds: float) -> None:
        """Waits until every watcher has been told everything, or for so long."""
        self._bursts.flush()
        with suppress(asyncio.TimeoutError):
            await self._live.clock.wait_for(self._until_all_have_caught_up(), seconds)

    def announce(self, agent: AgentRow) -> None:
        """An agent's status has changed: the policy hears of it too."""
        live = self._live
        hooks = live.hooks
        if hooks.on_status_change is not None:
            handle = live.agent(agent)
            hooks.fire(hooks.on_status_change, handle, agent.status, agent.reason_code)
        if self._has_audience():
            # It has changed: it was what it is not.
            self._tell(Change(agent, agent.status == "offline"))

    def reconnected(self, agent: AgentRow, now: int) -> None:
        """Tells that an agent came back; once for each of its connections."""
        if self._live.fleet.report_back(agent) and self._has_audience():
            self._tell(Change(agent, None, now))

    def progress(self, status: DrainStatus) -> None:
        """Tells how far a drain is; seldom enough to be sent to slow consumers as well."""
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
        self._bursts.flush()
        live = self._live
        to_all = live.config.monitoring.broadcast_to_agents
        conns = live.all_connections() if to_all else list(self.by_conn)
        live.pool.send_many(conns, message.dump())

    def maintenance(self, *, enabled: bool) -> None:
        """Tells those that stay: agents which watch as well are sent away."""
        self._bursts.flush()
        conns = self._live.fleet.only_watching()
        if conns:
            self._live.pool.send_many(conns, MaintenanceChanged(enabled).dump())

    def flush(self) -> None:
        """Sends what is held back of a storm: they are to hear something else."""
        self._bursts.flush()

    def close(self) -> None:
        """Tells nothing any more."""
        self._bursts.close()
        if self._turn is not None:
            self._turn.cancel()

    async def _until_all_have_caught_up(self) -> None:
        while any(watcher.is_behind for watcher in self.by_conn.values()):
            self._moved.clear()
            await self._moved.wait()

    def _queue_snapshot(self, conn: int, watcher: Watcher) -> None:
        self._queue[conn] = watcher
        if self._turn is None:
            loop = asyncio.get_running_loop()
            wait = self._free_at - loop.time()
            later = loop.call_later(wait, self._next_snapshot) if wait > 0 else None
            self._turn = later or loop.call_soon(self._next_snapshot)

    def _next_snapshot(self) -> None:
        """Begins the snapshot of the first that still wants it."""
        self._turn = None
        while self._queue:
            conn = next(iter(self._queue))
            watcher = self._queue.pop(conn)
            is_watching = self.by_conn.get(conn) is watcher
            # Without credit it begins when the watcher has read what was sent before.
            if is_watching and watcher.wants_snapshot and watcher.credit:
                self._begin_snapshot(conn, watcher)
                break
        if self._queue:
            self._queue_snapshot(*next(iter(self._queue.items())))

    def _begin_snapshot(self, conn: int, watcher: Watcher) -> None:
        began = perf_counter()
        self._catch_up(conn, watcher)
        took = perf_counter() - began
        if took > SHORT:
            self._free_at = asyncio.get_running_loop().time() + PAUSES * took
        self._bound(sum(each.held for each in self.by_conn.values()))

    def _bound(self, held: int) -> None:
        """Ends those that are behind with most, where all are with more than may be."""
        live = self._live
        most = max(MAX_BEHIND, WHOLE_FLEETS * len(live.fleet))
        while held > most:
            conn, watcher = max(self.by_conn.items(), key=lambda item: item[1].held)
            held -= watcher.held
            self.end(conn)
            live.pool.close_connection(conn, 1013, "slow consumer", "slow_consumer")

    def _has_audience(self) -> bool:
        return bool(self.by_conn) or self._live.config.monitoring.broadcast_to_agents

    def _tell(self, change: Change) -> None:
        """Sends it to those that keep up, and keeps it for the others."""
        live, agent = self._live, change.agent
        agent_id, status = agent.agent_id, agent.status
        conns, held = [], 0
        for conn, watcher in self.by_conn.items():
            if watcher.credit > 1 and not watcher.wants_snapshot:
                if watcher.filter.fits(agent_id, status):
                    watcher.credit -= 1
                    conns.append(conn)
            else:
                self._keep(watcher, change)
                if watcher.credit and not watcher.wants_snapshot:
                    self._catch_up(conn, watcher)
                held += watcher.held
        self._bound(held)
        if live.config.monitoring.broadcast_to_agents:
            conns += [conn for conn in live.all_connections() if conn not in self.by_conn]
        if conns:
            for message in self._messages(change):
                self._bursts.send(conns, message)
            if live.config.monitoring.broadcast_to_agents:
                # So many names of connections are not kept with each message.
                self._bursts.flush()

    def _keep(self, watcher: Watcher, change: Change) -> None:
        agent_id = change.agent.agent_id
        before = watcher.behind.pop(agent_id, None)
        if before is not None:
            change = Change(
                change.agent,
                change.was_online if before.was_online is None else before.was_online,
                before.back_at if change.back_at is None else change.back_at,
            )
        watcher.behind[agent_id] = change

    def _catch_up(self, conn: int, watcher: Watcher) -> None:
        """Sends what it is behind with, as far as its credit goes."""
        self._bursts.flush()
        pool, messages = self._live.pool, self._take(watcher, watcher.credit)
        watcher.credit -= min(watcher.credit, len(messages))
        if watcher.credit:
            if messages:
                pool.send_many([conn], *messages)
            return
        *most, last = messages
        if most:
            pool.send_many([conn], *most)
        pool.send(conn, last, notify=True)

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
            if watcher.filter.fits(agent_id, change.agent.status):
                taken += self._messages(change)
        return taken

    def _messages(self, change: Change) -> Iterator[bytes]:
        """What a change, or several of the same agent, have come to by now."""
        agent = change.agent
        is_online = agent.status == "online"
        # Away and back again before it was told is no change. Back and away again is news: of an
        # agent that was not known, or that is offline for another reason.
        if change.was_online is not None and not (change.was_online and is_online):
            yield self._state(agent.agent_id, agent.status, agent.reason_code, agent.last_heartbeat)
        if change.back_at is not None and is_online:
            moment = timestamp(self._live.unix(change.back_at))
            yield ClientReconnected(agent.agent_id, moment).dump()

    def _snapshot(self, watcher: Watcher) -> Iterator[bytes]:
        # All that is told is taken down now, and encoded as it is sent: the state of one moment,
        # however long that takes.
        fits = watcher.filter.fits
        moment = [entry for entry in self._live.fleet.statuses() if fits(entry[0], entry[1])]
        watcher.moment = len(moment)
        return (
            self._state(agent_id, status, code, last_heartbeat, snapshot=True)
            for agent_id, status, code, last_heartbeat in moment
        )

    def _state(
        self,
        agent_id: str,
        status: Status,
        code: ReasonCode | None,
        last_heartbeat: int | None,
        *,
        snapshot: bool = False,
    ) -> bytes:
        live = self._live
        last = None if last_heartbeat is None else timestamp(live.unix(last_heartbeat))
        reason = None if code is None else text(live.config.log.language, code)
        return ClientStatusChanged(agent_id, status, reason, code, last, snapshot).dump()
