"""What waited for an agent, on its way to it.

Handed out in portions: all at once it could be more than a connection's queue takes. A portion is
kept until the core says that it is with the socket; if the connection ends first, it waits for the
next one. So a message is lost to no crash of the server: after one it may come twice, and its
`message_id` tells.
"""

from typing import TYPE_CHECKING

from dscore.store import Store

if TYPE_CHECKING:
    from dscore._core import AgentRow, Fleet, ReactorPool


class Deliveries:
    """One delivery for each agent that has something to come."""

    def __init__(self, pool: "ReactorPool", fleet: "Fleet", store: Store) -> None:
        self._pool = pool
        self._fleet = fleet
        self._store = store
        self.under_way: dict[str, int] = {}
        """Agent id -> the connection that was sent a portion."""

    def begin(self, record: "AgentRow", max_bytes: int) -> None:
        """An agent has been let in, and told so: what waits for it comes next.

        Args:
            max_bytes: of a portion; a single message may be larger.
        """
        if self.under_way.get(record.agent_id) == record.conn:
            return  # It was introduced twice: `drained` goes on with the rest.
        # A connection that was taken over: what it was sent is not known to have come.
        if self.under_way.pop(record.agent_id, None) is not None:
            self._store.give_back(record.agent_id)
        texts = self._store.lend(record.agent_id, max_bytes=max_bytes)
        if not texts:
            return
        for text in texts[:-1]:
            self._pool.send(record.conn, text)
        self._pool.send(record.conn, texts[-1], flushed=True)
        self.under_way[record.agent_id] = record.conn

    def drained(self, conn: int, max_bytes: int) -> None:
        """A connection has taken what it was sent."""
        record = self._fleet.owner(conn)
        if record is not None and self.under_way.get(record.agent_id) == conn:
            del self.under_way[record.agent_id]
            self._store.settle(record.agent_id)
            self.begin(record, max_bytes)

    def closed(self, agent_id: str, conn: int) -> None:
        """A connection of an agent has ended."""
        if self.under_way.get(agent_id) == conn:
            del self.under_way[agent_id]
            self._store.give_back(agent_id)

    def is_behind(self, record: "AgentRow") -> bool:
        """Whether something waits still, so that what is sent now must wait behind it."""
        if record.agent_id not in self.under_way:
            return False
        session = self._store.get(record.agent_id)
        return session is not None and bool(session.outbox)
