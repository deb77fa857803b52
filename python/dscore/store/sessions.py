"""Sessions in memory, with what waits for the agents that are away.

A message is in an outbox from `queue` on. `lend` hands messages out to be sent; they are kept until
`settle` says that the socket has them, and `give_back` puts them where they were: a connection that
ends first loses none.
"""

from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice

from dscore.store.rows import Session

Waiting = tuple[int, bytes]
"""A message's number and text."""


class Sessions:
    """Sessions by agent id, bounded in messages and bytes, for each agent and for all."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lent: dict[str, list[Waiting]] = {}
        self._waiting: dict[int, tuple[str, int]] = {}
        """Every message in an outbox or lent: number -> agent id and bytes, oldest first."""
        self._waiting_bytes = 0
        self._max_bytes = 1 << 62
        """Of all of them together."""
        self._last_message = 0
        """The number of the message queued last."""
        self._dropped: Counter[str] = Counter()

    def get(self, agent_id: str) -> Session | None:
        return self._sessions.get(agent_id)

    def put(self, agent_id: str, session: Session) -> None:
        self._sessions[agent_id] = session

    def drop(self, agent_id: str) -> None:
        session = self._sessions.pop(agent_id, None)
        if not self._waiting:
            return
        if lent := self._lent.pop(agent_id, None):
            self._left([number for number, _ in lent])
        if session is not None and session.outbox:
            self._dropped[agent_id] += len(session.outbox)
            self._left([number for number, _ in session.outbox])

    def queue(self, agent_id: str, text: bytes, *, limit: int, max_bytes: int) -> int:
        session = self._sessions[agent_id]
        outbox = session.outbox
        if outbox is None:
            outbox = deque()
            self._sessions[agent_id] = session._replace(outbox=outbox)
        self._last_message += 1
        outbox.append((self._last_message, text))
        self._joined(agent_id, self._last_message, text)
        dropped = 0
        size = sum(len(text) for _, text in outbox)
        # A single message stays whatever its size: it fits a connection's outbox when that is
        # empty.
        while len(outbox) > limit or (size > max_bytes and len(outbox) > 1):
            size -= len(outbox[0][1])
            self._drop_oldest(agent_id)
            dropped += 1
        if self._waiting_bytes > self._max_bytes:
            dropped += self._make_room()
        return dropped

    async def queue_kept(self, agent_id: str, text: bytes, *, limit: int, max_bytes: int) -> int:
        return self.queue(agent_id, text, limit=limit, max_bytes=max_bytes)

    def take_drops(self) -> Counter[str]:
        dropped, self._dropped = self._dropped, Counter()
        return dropped

    def lend(self, agent_id: str, *, max_bytes: int) -> Sequence[bytes]:
        session = self._sessions.get(agent_id)
        if session is None or not session.outbox:
            return ()
        outbox = session.outbox
        taken: list[Waiting] = []
        while outbox and (not taken or len(outbox[0][1]) <= max_bytes):
            max_bytes -= len(outbox[0][1])
            taken.append(outbox.popleft())
        self._sessions[agent_id] = session._replace(outbox=outbox or None)
        self._lent.setdefault(agent_id, []).extend(taken)
        return [text for _, text in taken]

    def settle(self, agent_id: str) -> None:
        if lent := self._lent.pop(agent_id, None):
            self._left([number for number, _ in lent])

    def give_back(self, agent_id: str) -> None:
        lent, session = self._lent.pop(agent_id, None), self._sessions.get(agent_id)
        if lent and session is not None:
            outbox = deque((*lent, *(session.outbox or ())))
            self._sessions[agent_id] = session._replace(outbox=outbox)

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
        return len(self._waiting)

    def undelivered_bytes(self) -> int:
        return self._waiting_bytes

    def __len__(self) -> int:
        return len(self._sessions)

    def _adopt(self, sessions: dict[str, Session], last_message: int) -> None:
        """Takes up what an earlier process has kept."""
        self._sessions, self._lent = sessions, {}
        waiting = sorted(
            (number, agent_id, len(text))
            for agent_id, session in sessions.items()
            for number, text in session.outbox or ()
        )
        self._waiting = {number: (agent_id, size) for number, agent_id, size in waiting}
        self._waiting_bytes = sum(size for _, _, size in waiting)
        self._last_message = last_message

    def _withdraw(self, agent_id: str, number: int) -> bool:
        """Takes a message out of its outbox; False: it is not there any more."""
        session = self._sessions.get(agent_id)
        outbox = None if session is None else session.outbox
        if session is None or not outbox or number not in (kept for kept, _ in outbox):
            return False
        rest = deque(one for one in outbox if one[0] != number)
        self._sessions[agent_id] = session._replace(outbox=rest or None)
        self._left((number,))
        return True

    def _make_room(self) -> int:
        """Drops the oldest messages, whose ever they are, until the rest fits.

        Returns:
            How many.
        """
        oldest: list[str] = []
        excess = self._waiting_bytes - self._max_bytes
        # The newest stays, so that what was just queued is never what is dropped.
        for number, (agent_id, size) in islice(self._waiting.items(), len(self._waiting) - 1):
            session = self._sessions[agent_id]
            # Lent ones are on their way, and go by themselves.
            if session.outbox and session.outbox[0][0] <= number:
                oldest.append(agent_id)
                excess -= size
            if excess <= 0:
                break
        for agent_id in oldest:
            self._drop_oldest(agent_id)
        return len(oldest)

    def _drop_oldest(self, agent_id: str) -> None:
        session = self._sessions[agent_id]
        assert session.outbox is not None
        number, _ = session.outbox.popleft()
        self._left((number,))
        self._dropped[agent_id] += 1
        self.put(
            agent_id,
            session._replace(outbox=session.outbox or None, dropped=session.dropped + 1),
        )

    def _joined(self, agent_id: str, number: int, text: bytes) -> None:
        """This message is in an outbox now."""
        self._waiting[number] = agent_id, len(text)
        self._waiting_bytes += len(text)

    def _left(self, numbers: Sequence[int]) -> None:
        """These messages are in no outbox any more, and not lent."""
        for number in numbers:
            _, size = self._waiting.pop(number)
            self._waiting_bytes -= size
