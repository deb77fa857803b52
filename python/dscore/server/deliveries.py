"""What waited for an agent, on its way to it.

Handed out in portions: all at once it could be more than a connection's queue takes. A portion is
kept until the core says that it is with the socket; if the connection ends first, it waits for the
next one. So a message is lost to no crash of the server: after one it may come twice, and its
`message_id` tells.
"""

from typing import TYPE_CHECKING

from dscore.store.behind import Behind

if TYPE_CHECKING:
    from dscore._core import AgentRow, Fleet, ReactorPool


class Deliveries:
    """Says when the next portion is due, and sends it."""

    def __init__(self, pool: "ReactorPool", fleet: "Fleet", store: Behind) -> None:
        self._pool = pool
        self._fleet = fleet
        self._store = store

    def begin(self, record: "AgentRow", max_bytes: int) -> None:
        """An agent has been let in, and told so: what waits for it comes next.

        Args:
            max_bytes: of a portion; a single message may be larger.
        """
        self._send(record.conn, self._fleet.deliver(record, max_bytes))

    def drained(self, conn: int, max_bytes: int) -> None:
        """A connection has taken what it was sent."""
        _, held, _ = self._fleet.sessions()
        if not held:
            return
        self._send(conn, self._fleet.delivered(conn, max_bytes))
        if self._fleet.sessions()[1] != held:
            self._store.changed(urgent=True)

    def _send(self, conn: int, texts: list[bytes]) -> None:
        if not texts:
            return
        for text in texts[:-1]:
            self._pool.send(conn, text)
        self._pool.send(conn, texts[-1], flushed=True)
