"""The agents of a server, as a program sees them: found, told, asked, ended."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from dscore.agent_ids import trimmed
from dscore.errors import NotConnectedError, UnknownAgentError
from dscore.facets import Facets
from dscore.filters import ANY, Filter
from dscore.history import Sample, Span
from dscore.log import get_logger
from dscore.messages import Dialect
from dscore.policy.agent import Agent, Outbox, Termination
from dscore.server.outgoing import Audience, Message
from dscore.server.timeline import Disconnect, read_timeline
from dscore.server.wiring import Parts, running
from dscore.states import State
from dscore.store import Entry
from dscore.store.behind import Behind

if TYPE_CHECKING:
    from dscore._core import AgentRow, FacetsScan, PageScan
    from dscore._core import Fleet as Table

_log = get_logger("dscore.server")


class Counts(NamedTuple):
    """Connections, in one reading."""

    total: int
    authenticated: int
    unauthenticated: int


class Fleet:
    """`Server.fleet`. How a server starts and stops is not known here. It is used from the event
    loop's thread only."""

    def __init__(self, table: "Table", store: Behind) -> None:
        """
        Args:
            table: of the agents.
            store: their timelines.
        """
        self._table = table
        self._store = store
        self._parts: Parts | None = None

    def started(self, parts: Parts) -> None:
        """From here on agents can be told and asked."""
        self._parts = parts

    def counts(self) -> Counts:
        """Connections, in one reading."""
        return Counts(*self._table.counts())

    def dialects(self) -> dict[Dialect, int]:
        """How many agents are connected over each dialect."""
        return dict(self._table.dialects())

    def connected_ids(self) -> list[str]:
        """Ids of agents that have a connection."""
        scan = self._table.scan_connected()
        return [agent_id for ids in iter(scan.step, None) for agent_id in ids]

    async def read_connected_ids(self) -> list[str]:
        """The same as `connected_ids`; of a large fleet in steps, as `read_page`."""
        scan = self._table.scan_connected()
        found = scan.step() or []
        # Those of a small fleet are all: they are of one moment with what follows.
        while (ids := scan.step()) is not None:
            found += ids
            await asyncio.sleep(0)
        return found

    def agents(self) -> Iterator[Agent]:
        """Every agent that is known, connected or not."""
        for record in self._table.agents():
            yield Agent(self, record)

    def states(self) -> dict[State, int]:
        """How many agents are known in each state."""
        return dict(self._table.states())

    def disconnects(self) -> list[tuple[Disconnect, int]]:
        """How often connections of agents have ended, and how."""
        counts = self._table.disconnects()
        return [(Disconnect._make(kind), count) for kind, count in counts]

    def page(
        self,
        filter: Filter = ANY,
        *,
        sort: str = "id",
        limit: int = 100,
        after: tuple[str | float, str] | None = None,
        offset: int = 0,
    ) -> tuple[list[Agent], bool, int]:
        """Agents that fit, in order; whether there are more; how many fit in all.

        Args:
            filter: what they must be like.
            sort: "id"; "natural": by id, the numbers in it by their value; "problem": what needs a
                look first, then "natural"; "status", "state", "connected_at", "last_heartbeat",
                "since" (the state is what it is), "rtt". A leading - turns the order round.
            limit: at most so many.
            after: only agents behind this one: what it was sorted by ("" for the id, Unix seconds
                for a time, 0 for never; its state for "problem"), and its id.
            offset: so many are left out at first.

        Raises:
            ValueError: a word is none.
        """
        scan = self._scan(filter, sort, limit, after, offset)
        while not scan.step():
            pass
        return self._page(scan)

    async def read_page(
        self,
        filter: Filter = ANY,
        *,
        sort: str = "id",
        limit: int = 100,
        after: tuple[str | float, str] | None = None,
        offset: int = 0,
    ) -> tuple[list[Agent], bool, int]:
        """The same as `page`; of a large fleet in steps, between which the loop does other things.
        An agent that changes meanwhile is taken as it is when it is looked at."""
        scan = self._scan(filter, sort, limit, after, offset)
        await _in_steps(scan)
        return self._page(scan)

    def facets(self, filter: Filter = ANY) -> Facets:
        """How many agents there are of each kind, of those that fit.

        Raises:
            ValueError: a word is none.
        """
        scan = self._table.scan_facets(filter)
        while not scan.step():
            pass
        return Facets.of(scan.take())

    async def read_facets(self, filter: Filter = ANY) -> Facets:
        """The same as `facets`; of a large fleet in steps, as `read_page`."""
        scan = self._table.scan_facets(filter)
        await _in_steps(scan)
        return Facets.of(scan.take())

    def history(self, span: Span, after: int = 0) -> list[Sample]:
        """What the fleet was like lately, oldest first.

        Args:
            span: "hour": a sample each 5 s; "day": one a minute.
            after: only what is later, in Unix milliseconds.
        """
        return self._running.sampler.rings.read(span, after)

    def agent(self, agent_id: str) -> Agent | None:
        record = self._table.agent(trimmed(agent_id))
        return None if record is None else Agent(self, record)

    async def timeline(
        self, agent_id: str, *, limit: int = 100, before: int | None = None
    ) -> tuple[list[Entry], int | None]:
        """What happened to an agent, newest first: what `dscore.server.timeline` wrote.

        Args:
            before: what an earlier call gave for the page after its own.

        Returns:
            The entries, and the `before` of the next page if there is one.

        Raises:
            UnknownAgentError: no such agent.
        """
        record = self._record(agent_id)
        return await read_timeline(self._store, record, limit=limit, before=before)

    def send_message(self, agent_id: str, message: Message, *, namespace: str = "/") -> bool:
        """`Agent.send`, by id.

        Raises:
            UnknownAgentError: no such agent.
        """
        return self._running.outgoing.send(self._record(agent_id), message, namespace)

    async def send_kept(self, agent_id: str, message: Message, *, namespace: str = "/") -> bool:
        """`Agent.send_kept`, by id.

        Raises:
            UnknownAgentError: no such agent.
        """
        return await self._running.outgoing.send_kept(self._record(agent_id), message, namespace)

    async def refresh(self, agent_ids: Iterable[str] | None = None) -> None:
        """Reads when agents were last heard of: their `last_heartbeat` and `rtt` are of now, and
        not of up to `monitoring.process_check_interval` ago.

        Args:
            agent_ids: these; None: all that are connected, which takes longer the more there are.
        """
        readings, find = self._running.live.readings, self._table.agent
        if agent_ids is None:
            await readings.take()
            return
        records = map(find, agent_ids)
        conns = [record.conn for record in records if record is not None]
        await readings.take_some([conn for conn in conns if conn])

    def broadcast(self, message: Message, *, to: Audience = "agents") -> int:
        """Sends a message to many at once, in either dialect; no outbox keeps it.

        Args:
            message: as in `Agent.send`, but with no `bytes` in it.
            to: "agents" that are connected; "watchers"; "all": both, and where no tokens are
                required the unauthenticated Socket.IO connections (the contract's pages).

        Returns:
            To how many it is on its way.

        Raises:
            ValueError: it is no message, or has attachments; `to` is another word.
        """
        return self._running.outgoing.broadcast(message, to)

    async def request(
        self,
        agent_id: str,
        event: str,
        data: Any = None,
        *,
        namespace: str = "/",
        timeout: float | None = None,
    ) -> Any:
        """`Agent.request`, by id.

        Raises:
            UnknownAgentError: no such agent.
        """
        acks, pool = self._running.acks, self._running.live.pool
        record = self._record(agent_id)
        if namespace == "/" and self._table.is_deaf(record):
            raise NotConnectedError(agent_id)
        return await acks.request(pool, record, event, data, namespace=namespace, timeout=timeout)

    async def terminate(self, agent_id: str, *, timeout: float | None = None) -> Termination:
        """Asks one agent to stop its application, and waits for the outcome; `shutdown.timeout` at
        most, and up to `shutdown.max_extension` more if it asks for that (termination_progress).
        Its connection stays unless it acknowledges.

        Raises:
            UnknownAgentError: no such agent.
            NotConnectedError: it has no connection now.
            ValueError: `timeout` is negative, or longer than a day.
        """
        record = self._record(agent_id)
        if not record.conn:
            raise NotConnectedError(agent_id)
        parts, pool = self._running, self._running.live.pool
        seconds = parts.live.termination_timeout(timeout)
        now = pool.now_ms()
        parts.live.timeline.asked(record, now)
        parts.live.fleet.feed(record, "terminate_sent", now)
        extension = parts.live.config.shutdown.max_extension
        return await parts.terminations.terminate(pool, record.conn, seconds, extension)

    async def remove(self, agent_id: str) -> None:
        """Removes an agent, with its session and all that is known of it. Its connection is closed
        1008.

        Raises:
            UnknownAgentError: no such agent.
        """
        record, reason = self._record(agent_id), "removed by an operator"
        parts, pool = self._running, self._running.live.pool
        if record.conn:
            pool.close_connection(record.conn, 1008, reason, "operator")
        parts.dispatch.remove(record, reason, pool.now_ms())
        self._table.forget(record)
        self._store.changed()
        _log.info("agent_removed", agent_id=record.agent_id)

    def outbox(self, agent_id: str) -> Outbox:
        """What waits for an agent."""
        record = self._table.agent(trimmed(agent_id))
        return Outbox(0, 0) if record is None else Outbox(*self._table.outbox(record))

    def close_connection(self, conn: int, code: int, reason: str) -> None:
        """Begins the closing handshake of a connection, if it is still there."""
        self._running.live.pool.close_connection(conn, code, reason)

    def unix_time(self, pool_ms: int) -> float:
        """A time of the pool's clock in Unix seconds."""
        return self._running.live.unix(pool_ms)

    def _scan(
        self,
        filter: Filter,
        sort: str,
        limit: int,
        after: tuple[str | float, str] | None,
        offset: int,
    ) -> "PageScan":
        return self._table.scan_page(
            filter,
            sort=sort,
            limit=limit,
            after=after,
            offset=offset,
            times=self._running.live.times.offsets(),
        )

    def _page(self, scan: "PageScan") -> tuple[list[Agent], bool, int]:
        rows, has_more, total = scan.take()
        return [Agent(self, row) for row in rows], has_more, total

    @property
    def _running(self) -> Parts:
        return running(self._parts)

    def _record(self, agent_id: str) -> "AgentRow":
        record = self._table.agent(trimmed(agent_id))
        if record is None:
            raise UnknownAgentError(agent_id)
        return record


async def _in_steps(scan: "PageScan | FacetsScan") -> None:
    """Each in a turn of the loop of its own."""
    while not scan.step():  # noqa: ASYNC110 -- it waits for nothing: the loop has its turn
        await asyncio.sleep(0)
