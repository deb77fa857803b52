"""The store that ends with the process; what any other keeps in memory is this too."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from dscore.store.rows import Entry, Kept, Seen, Session, StoredAgent, StoreHealth
from dscore.store.timeline import TIMELINE_LENGTH, packed_entry, unpacked_entry


class Sessions:
    """Sessions by agent id, in memory."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._undelivered = 0
        self._last_message = 0
        """The number of the message queued last."""

    def get(self, agent_id: str) -> Session | None:
        return self._sessions.get(agent_id)

    def put(self, agent_id: str, session: Session) -> None:
        self._sessions[agent_id] = session

    def drop(self, agent_id: str) -> None:
        session = self._sessions.pop(agent_id, None)
        if session is not None and session.outbox:
            self._left([number for number, _ in session.outbox])

    def queue(self, agent_id: str, text: bytes, *, limit: int, max_bytes: int) -> int:
        session = self._sessions[agent_id]
        outbox = session.outbox
        if outbox is None:
            outbox = deque()
        self._last_message += 1
        outbox.append((self._last_message, text))
        self._joined(agent_id, self._last_message, text)
        dropped = 0
        size = sum(len(text) for _, text in outbox)
        # A single message stays whatever its size: it fits a connection's outbox when that is
        # empty.
        while len(outbox) > limit or (size > max_bytes and len(outbox) > 1):
            number, oldest = outbox.popleft()
            size -= len(oldest)
            dropped += 1
            self._left((number,))
        self._sessions[agent_id] = session._replace(
            outbox=outbox or None, dropped=session.dropped + dropped
        )
        return dropped

    def take_outbox(self, agent_id: str) -> Sequence[bytes]:
        session = self._sessions.get(agent_id)
        if session is None or not session.outbox:
            return ()
        self._sessions[agent_id] = session._replace(outbox=None)
        self._left([number for number, _ in session.outbox])
        return [text for _, text in session.outbox]

    def expire(self, left_before: float) -> int:
        expired = [
            agent_id
            for agent_id, session in self._sessions.items()
            if session.left_at is not None and session.left_at < left_before
        ]
        for agent_id in expired:
            self.drop(agent_id)
        return len(expired)

    def undelivered(self) -> int:
        return self._undelivered

    def __len__(self) -> int:
        return len(self._sessions)

    def _joined(self, agent_id: str, number: int, text: bytes) -> None:
        """This message is in an outbox now."""
        self._undelivered += 1

    def _left(self, numbers: Sequence[int]) -> None:
        """These messages are in no outbox any more."""
        self._undelivered -= len(numbers)


class MemoryStore(Sessions):
    """Keeps sessions and timelines; agents are remembered by the registry anyway."""

    keeps_agents = False

    def __init__(self) -> None:
        super().__init__()
        self._timelines: dict[str, bytes | list[bytes]] = {}
        """Packed entries. The one of an agent that came and has been quiet since needs no list."""
        self._last_entry = 0
        self._forgotten_before = 0

    async def start(self) -> Kept:
        return Kept([], {}, None)

    async def close(self) -> None:
        pass

    def keep(self, agent: StoredAgent) -> None:
        pass

    def forget(self, agent_ids: Iterable[str]) -> None:
        for agent_id in agent_ids:
            self.drop(agent_id)
            self._timelines.pop(agent_id, None)

    def seen(self, agents: Iterable[Seen]) -> None:
        pass

    def append(self, agent_id: str, at: int, kind: str, data: bytes) -> None:
        number = self._last_entry = self._last_entry + 1
        entry = packed_entry(number, at, kind, data)
        timeline = self._timelines.get(agent_id)
        if timeline is None:
            self._timelines[agent_id] = entry
        elif isinstance(timeline, bytes):
            # A list: most timelines are short, and the least deque takes 760 bytes.
            self._timelines[agent_id] = [timeline, entry]
        else:
            if len(timeline) >= TIMELINE_LENGTH:
                del timeline[0]
            timeline.append(entry)

    async def timeline(
        self, agent_id: str, *, limit: int, before: int | None = None
    ) -> list[Entry]:
        timeline = self._timelines.get(agent_id, ())
        packed = (timeline,) if isinstance(timeline, bytes) else timeline
        entries = (unpacked_entry(agent_id, entry) for entry in reversed(packed))
        fitting = (
            entry
            for entry in entries
            if entry.at >= self._forgotten_before and (before is None or entry.number < before)
        )
        return list(islice(fitting, limit))

    def prune(self, before: int) -> None:
        # Their number is bounded, and so is their agents': they need only not be seen any more.
        self._forgotten_before = before

    def health(self) -> StoreHealth:
        return StoreHealth(is_ok=True)
