"""What watchers are told (PROTOCOL.md §4).

A watcher that keeps up is sent each change at once, or in a storm of them five times a second
(`bursts`), encoded once for all of them. One that does not
read as fast as the fleet changes falls behind: what it has not been told is kept by agent, so it
costs no more than the fleet is large, and is told as it stands when the watcher has read what was
sent before. Nothing is dropped: the last word on each agent always comes, in the order of the last
words. A snapshot (`snapshots`) is the same with a longer beginning: the state of all agents, then
what changed since. Those that are behind with most are ended where all together are with too much.

Invariant: a watcher with `credit` left has nothing to be told yet, but for a snapshot that begins
in the next turn of the loop. One without has been sent a last message with `notify`: the core says
when it has read that, and it has its credit back.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice

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
from dscore.server.bursts import Bursts, Message
from dscore.server.live import Live
from dscore.server.snapshots import Snapshots, Told
from dscore.server.watcher import WINDOW, Change, Watcher
from dscore.translations import text

MAX_BEHIND = 500_000
"""Agents that all watchers together are behind with: some 100 MB. Of a large fleet more, or a few
pages that open at once would be too many."""
WHOLE_FLEETS = 32
"""As often all agents may be among them, whatever that is."""


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
        self._snapshots = Snapshots(live, self.by_conn, self._tell_snapshot)

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
            self._snapshots.queue(conn, watcher)

    def drained(self, conn: int) -> None:
        """A connection has read what was sent to it."""
        watcher = self.by_conn.get(conn)
        if watcher is not None:
            watcher.credit = WINDOW
            if watcher.wants_snapshot:
                self._snapshots.resume(conn, watcher)
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
        self._snapshots.close()

    async def _until_all_have_caught_up(self) -> None:
        while any(watcher.is_behind for watcher in self.by_conn.values()):
            self._moved.clear()
            await self._moved.wait()

    def _tell_snapshot(self, conn: int, watcher: Watcher, moment: list[Told]) -> None:
        watcher.wants_snapshot = False
        watcher.moment = len(moment)
        # Encoded as it is sent.
        watcher.snapshot = (self._state(*told, snapshot=True) for told in moment)
        self._catch_up(conn, watcher)
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
        if held:
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
                taken += [message() for message in self._messages(change)]
        return taken

    def _messages(self, change: Change) -> Iterator[Message]:
        """What a change, or several of the same agent, have come to by now."""
        agent = change.agent
        is_online = agent.status == "online"
        # Away and back again before it was told is no change. Back and away again is news: of an
        # agent that was not known, or that is offline for another reason.
        if change.was_online is not None and not (change.was_online and is_online):
            facts = agent.agent_id, agent.status, agent.reason_code, agent.last_heartbeat
            yield partial(self._state, *facts)
        if change.back_at is not None and is_online:
            moment = timestamp(self._live.unix(change.back_at))
            yield ClientReconnected(agent.agent_id, moment).dump

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
