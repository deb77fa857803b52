"""What outlives a connection, behind one small interface.

Every call but `start` and `close` returns at once: a store that writes to disk answers from memory
and writes behind. Times are Unix seconds, for they must mean the same after a restart. What a
session is for, and when it ends, is decided elsewhere (`dscore.policy.admission`).
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol


class Session:
    """What is kept of an agent from its first accepted introduction on (PROTOCOL.md §7)."""

    __slots__ = ("config", "dropped", "last_close", "left_at", "outbox")

    def __init__(self, config: bytes | None = None) -> None:
        self.config = config
        """The `config` of its app_ready, JSON."""
        self.last_close = 0
        """The close code of its last connection; 0: none has ended yet."""
        self.left_at: float | None = None
        """When it was disconnected; None while it is connected."""
        self.outbox: deque[bytes] | None = None
        """Messages for it while it is away, oldest first; None instead of empty."""
        self.dropped = 0
        """Messages that were dropped from the outbox, ever."""


class Store(Protocol):
    """The interface of a store. Called from the event loop's thread only."""

    async def start(self) -> None:
        """Makes the sessions of earlier processes readable."""

    async def close(self) -> None:
        """When it returns, everything is where it outlives the process."""

    def get(self, agent_id: str) -> Session | None: ...

    def put(self, agent_id: str, session: Session) -> None:
        """Keeps a session, new or changed."""

    def drop(self, agent_id: str) -> None:
        """Ends a session with all it holds; nothing happens if there is none."""

    def queue(self, agent_id: str, text: bytes, *, limit: int, max_bytes: int) -> int:
        """Adds a message to the outbox of a session that exists.

        Returns:
            How many of the oldest were dropped, to stay within `limit` messages and `max_bytes`.
        """

    def take_outbox(self, agent_id: str) -> Sequence[bytes]:
        """The messages of the outbox, which is empty after that."""

    def expire(self, left_before: float) -> int:
        """Drops the sessions of agents that left before a time; returns how many."""


class MemoryStore:
    """Sessions that end with the process."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def get(self, agent_id: str) -> Session | None:
        return self._sessions.get(agent_id)

    def put(self, agent_id: str, session: Session) -> None:
        self._sessions[agent_id] = session

    def drop(self, agent_id: str) -> None:
        self._sessions.pop(agent_id, None)

    def queue(self, agent_id: str, text: bytes, *, limit: int, max_bytes: int) -> int:
        session = self._sessions[agent_id]
        outbox = session.outbox
        if outbox is None:
            outbox = session.outbox = deque()
        outbox.append(text)
        dropped = 0
        size = sum(map(len, outbox))
        # A single message stays whatever its size: it fits a connection's outbox when that is
        # empty.
        while len(outbox) > limit or (size > max_bytes and len(outbox) > 1):
            size -= len(outbox.popleft())
            dropped += 1
        session.dropped += dropped
        return dropped

    def take_outbox(self, agent_id: str) -> Sequence[bytes]:
        session = self._sessions.get(agent_id)
        if session is None or not session.outbox:
            return ()
        taken, session.outbox = session.outbox, None
        return list(taken)

    def expire(self, left_before: float) -> int:
        expired = [
            agent_id
            for agent_id, session in self._sessions.items()
            if session.left_at is not None and session.left_at < left_before
        ]
        for agent_id in expired:
            del self._sessions[agent_id]
        return len(expired)

    def __len__(self) -> int:
        return len(self._sessions)
