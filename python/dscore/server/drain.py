"""Carrying out a drain: the asyncio side of `policy.drain`, in the order of PROTOCOL.md §6."""

import asyncio

from dscore.log import get_logger
from dscore.messages import Intent, ServerShutdown, timestamp
from dscore.policy.deadline import REMEDY, SLACK, wanted
from dscore.policy.drain import Drain, DrainDetail, DrainLeft, DrainReport, reconnect_window_ms
from dscore.server.live import Live
from dscore.server.watchers import Watchers
from dscore.translations import text

MAX_STAGE = 200
"""Characters kept of what an agent says that it is at."""
SLICE = 500
"""Connections told one by one before the loop gets a turn."""
PROGRESS_INTERVAL = 0.125
"""Seconds between two drain_progress: with the last one, which does not wait, fewer than 10 in any
second."""
MIN_RECONNECT_AFTER_MS = 5000

_log = get_logger("dscore.drain")


class Draining:
    """One drain, from the request to the report."""

    def __init__(self, live: Live, watchers: Watchers, intent: Intent, timeout: float) -> None:
        """Changes nothing yet.

        Args:
            timeout: seconds that an agent has to stop its application.
        """
        self._live = live
        self._watchers = watchers
        self._wanted = wanted(live.config.shutdown, timeout)
        self._times = self._wanted
        """What the deadline leaves of that."""
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when every agent has its outcome."""
        self._began = live.pool.now_ms()
        self.drain = Drain(intent, self._began, live.times.now(), live.fleet)
        self._stages: dict[int, tuple[str, int]] = {}
        """Connection -> what its agent says that it is at, and until when it has time."""

    def begin(self) -> None:
        """Turns new connections away and sends terminate_app: before anything that takes time or a
        turn of the loop. `run` comes next."""
        live, intent, now = self._live, self.drain.intent, self._began
        live.stop_taking()
        self._times = times = live.deadline.plan(intent, self._wanted, now)
        if intent == "terminate":
            # What was accepted before this command is told: the core keeps their order.
            live.pool.terminate_all(
                round(times.timeout * 1000),
                round(times.notice * 1000),
                round(times.max_extension * 1000),
            )
        live.fleet.stop_clock(now)
        # Whom maintenance is sending away just now is told nothing, and is not missed.
        spared = list(live.sent_away)
        live.fleet.begin_drain(now, asked=intent == "terminate", spared=spared)
        live.timeline.server("drain", now, intent=intent)
        _log.info("drain_started", intent=intent, total=self.drain.pending)

    def look(self) -> None:
        """Something has ended: perhaps the last agent has its outcome."""
        if not self._settled.done() and not self.drain.pending:
            self._settled.set_result(None)

    def progressed(self, conn: int, stage: str, granted_ms: int, now: int) -> None:
        """An agent has asked for more time (termination_progress)."""
        self._stages[conn] = stage[:MAX_STAGE], now + granted_ms

    def detail(self, limit: int) -> DrainDetail:
        """Who is left, at most so many, and what the others said."""
        account = self._live.fleet.drain_report()
        return DrainDetail(self._waited_for(limit), account["latency_ms"], account["not_acked"])

    def _waited_for(self, limit: int) -> list[DrainLeft]:
        live, times = self._live, self._times
        found = []
        for conn, record in live.fleet.drain_left(limit):
            # Software of the Socket.IO contract does not know terminate_app (PROTOCOL.md §6).
            seconds = times.timeout if record.introduced_by == "app_ready" else times.notice
            first = self._began + round(seconds * 1000)
            stage, deadline = self._stages.get(conn, (None, first))
            is_asked = self.drain.intent == "terminate"
            until = live.times.unix_ms(deadline) / 1000 if is_asked else None
            found.append(DrainLeft(record.agent_id, until, stage))
        return found

    async def run(self) -> DrainReport:
        """All the rest; the report says what came of it."""
        live, drain = self._live, self.drain
        live.hooks.fire(live.hooks.on_drain, drain.intent)
        await self._announce()
        drain.advance("told")
        if drain.intent == "restart":
            await live.clock.sleep(min(self._times.notice, self._left()))
            drain.advance("settled")
        else:
            await self._wait_for_outcomes()
            if drain.pending:
                drain.give_up()
            else:
                drain.advance("settled")
        self._watchers.progress(drain.status())
        # What became of the last agents is news for longer than their connections last.
        await self._watchers.catch_up(min(self._times.close_timeout, self._left()))
        # Those that are left may not say before the end how their connections ended.
        if not live.fleet.is_empty():
            await live.readings.take(to_store=True)
        drain.advance("emptied" if await self._close_rest() else "cut")
        report = drain.finish(live.pool.now_ms(), self._cut())
        _log.info("drain_finished", **report.as_dict())
        live.hooks.fire(live.hooks.on_drained, report)
        return report

    async def _announce(self) -> None:
        """server_shutdown: to watchers and every Socket.IO connection, in a restart to everyone;
        each with a slot of its own to come back in."""
        self._watchers.flush()
        live, drain = self._live, self.drain
        fleet = live.fleet
        conns = fleet.listeners() if drain.intent == "terminate" else fleet.conns()
        window = reconnect_window_ms(live.config.shutdown.reconnect_window, len(conns))
        message = text(live.config.log.language, "server_shutdown")
        for first in range(0, len(conns), SLICE):
            await asyncio.sleep(0)
            moment = timestamp(live.times.now())
            told = []
            for index, conn in enumerate(conns[first : first + SLICE], first):
                if fleet.is_open(conn):
                    slot = window * index // len(conns)
                    shutdown = ServerShutdown(message, moment, MIN_RECONNECT_AFTER_MS + slot)
                    live.pool.send(conn, shutdown.dump())
                    told.append(conn)
            if drain.intent == "restart":
                fleet.notified(told)

    async def _wait_for_outcomes(self) -> None:
        """Until every agent has its outcome. The core sees to the deadlines; this is in case it
        does not."""
        drain, clock, times = self.drain, self._live.clock, self._times
        patience = max(times.timeout, times.notice) + times.max_extension + SLACK
        give_up_at = clock.read() + patience
        reported = -1
        while drain.pending and clock.read() < give_up_at and not self._is_over():
            pending = drain.pending
            if pending != reported:
                reported = pending
                self._watchers.progress(drain.status())
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the event.
            await asyncio.wait({self._settled}, timeout=PROGRESS_INTERVAL)
        if drain.pending:
            await clock.look()

    async def _close_rest(self) -> bool:
        """Closes the connections that are left, and waits for the closing handshakes."""
        live, spread = self._live, self._times.spread
        spread = spread if self.drain.intent == "restart" else 0.0
        reason = "Server shutting down gracefully"
        live.pool.close_all(1001, reason, "shutdown", spread_ms=round(spread * 1000))
        patience = spread + self._times.close_timeout + SLACK
        if await live.wait_until_empty(min(patience, left := self._left())):
            return True
        if left < patience:
            live.deadline.mark("close_timeout")
        return False

    def _left(self) -> float:
        """Seconds until the end must begin."""
        return self._live.deadline.left(self._live.pool.now_ms())

    def _is_over(self) -> bool:
        return self._live.deadline.is_over(self._live.pool.now_ms())

    def _cut(self) -> list[str]:
        """What the deadline has cut short of what made a difference; the log tells of it."""
        deadline, status = self._live.deadline, self.drain.status()
        mattered = {
            "timeout": status.timed_out,
            "max_extension": status.timed_out,
            "notice": status.notified,
            "spread": status.notified,
        }
        for setting, agents in mattered.items():
            if agents and getattr(self._times, setting) < getattr(self._wanted, setting):
                deadline.mark(setting)
        if deadline.cut:
            _log.warning(
                "shutdown_cut",
                settings=deadline.cut,
                deadline=self._live.config.shutdown.deadline,
                remedy=REMEDY,
            )
        return deadline.cut
