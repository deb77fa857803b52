"""What the fleet has noted of a batch: written down, told, and handed to what waits for it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from dscore._core import MAX_TEXT
from dscore.log import get_logger, write_lines
from dscore.policy.agent import Termination
from dscore.server.acks import Acks
from dscore.server.admission.acceptance import Acceptance
from dscore.server.drain import Draining
from dscore.server.hooks import raise_later
from dscore.server.live import Live
from dscore.server.restore import drop_configs
from dscore.server.terminations import Terminations
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore import _core

Part: TypeAlias = Callable[["_core.Notes", int], None]

_log = get_logger("dscore.server")


class Notes:
    """Takes them in the order in which things would have been done one event at a time."""

    def __init__(
        self,
        live: Live,
        watchers: Watchers,
        terminations: Terminations,
        acks: Acks,
        acceptance: Acceptance,
    ) -> None:
        self._live = live
        self._watchers = watchers
        self._terminations = terminations
        self._acks = acks
        self._acceptance = acceptance
        self.draining: Draining | None = None
        """The drain, which waits for its account to be settled; None before one has begun."""
        self._parts: tuple[Part, ...] = (
            self._record,
            self._say,
            self._keep,
            self._tell,
            self._settle,
            self._close,
            self._look_at_drain,
            self._arrive,
        )

    def write_down(self, now: int) -> None:
        """Takes what there is, and what an end leaves to do once its hook was called."""
        fleet = self._live.fleet
        while True:
            notes = fleet.notes()
            if notes is not None:
                for part in self._parts:
                    self._do(part, notes, now)
            if not fleet.resume(now):
                return

    def _do(self, part: Part, notes: "_core.Notes", now: int) -> None:
        try:
            part(notes, now)
        # What fails must not lose the rest of the batch, as with an event that fails.
        except BaseException as error:
            _log.exception("event_failed", kind="notes")
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise_later(error)

    def _record(self, notes: "_core.Notes", now: int) -> None:
        for fault in notes.faults:
            _log.error("event_failed", kind="liveness", reason=fault)

    def _keep(self, notes: "_core.Notes", now: int) -> None:
        live = self._live
        if notes.closed:
            drop_configs(live)

    def _tell(self, notes: "_core.Notes", now: int) -> None:
        live, hooks = self._live, self._live.hooks
        for agent, code, reason in notes.disconnected:
            hooks.fire(hooks.on_disconnect, live.agent(agent), code, reason)
        for agent in notes.changed:
            self._watchers.announce(agent)

    def _arrive(self, notes: "_core.Notes", now: int) -> None:
        """Agents that the fleet has let in. Each that is news to anything stands alone, at the end
        of its notes."""
        self._live.counters.sessions_restored_total += notes.restored
        for agent, previous, is_restored, changed, came_back in notes.arrivals:
            if previous:
                self._live.counters.takeovers_total += 1
                self._watchers.end(previous)
            self._acceptance.told(
                agent,
                agent.introduced_by,
                now,
                has_outbox=is_restored or previous != 0,
                changed=changed,
                came_back=came_back,
            )

    def _settle(self, notes: "_core.Notes", now: int) -> None:
        for settled in notes.settled:
            self._terminated(settled, now)

    def _say(self, notes: "_core.Notes", now: int) -> None:
        write_lines(notes.lines)

    def _terminated(self, settled: "_core.Settled", now: int) -> None:
        """How a single terminate_app ended, for its caller."""
        conn, request_id, outcome, latency_ms, message, incomplete = settled
        complete = not incomplete if outcome == "acked" else None
        words = message[:MAX_TEXT]
        termination = Termination(outcome, request_id, latency_ms, complete, words)
        self._terminations.outcome(conn, termination)
        self._terminate_over(conn, now)

    def _terminate_over(self, conn: int, now: int) -> None:
        """A request is over. Unless another one waits, the agent is one like all others again."""
        fleet = self._live.fleet
        agent = fleet.owner(conn)
        if agent is None or self._terminations.is_waiting(conn):
            return
        # A drain lets no agent go: its own request has begun to wait by then.
        if self._live.serving != "draining":
            fleet.feed(agent, "terminate_over", now)

    def _look_at_drain(self, notes: "_core.Notes", now: int) -> None:
        if self.draining is not None:
            self.draining.look()

    def _close(self, notes: "_core.Notes", now: int) -> None:
        if not notes.closed:
            return
        for conn in notes.watchers:
            self._watchers.end(conn)
        self._terminations.closed(notes.closed)
        self._acks.closed(notes.closed)
        if self._live.fleet.is_empty():
            self._live.emptied.set()
