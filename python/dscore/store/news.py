"""When agents were last heard of, as it waits to be written: a whole fleet's news at once, so in
columns of plain numbers. As tuples they would be seven times as large."""

from array import array
from collections.abc import Iterator

from dscore.store.rows import Seen

ROOM = 32_768
"""Rows before those are looked for that count no more: a fleet of 18,000 and some changes."""


class News:
    """What was said last of an agent comes last, and counts. With a disk that takes none this grows
    no larger than twice the agents it tells of, or than `ROOM`."""

    __slots__ = ("_agent_ids", "_forgotten", "_heartbeat_at", "_room", "_seen_at")

    def __init__(self) -> None:
        self._room = ROOM
        self._agent_ids: list[str] = []
        self._seen_at = array("q")
        self._heartbeat_at = array("q")
        """0 for None."""
        self._forgotten: dict[str, int] = {}
        """Agents of which nothing counts before the row of this number."""

    def add(self, agent_id: str, seen_at: int, heartbeat_at: int | None) -> None:
        self._agent_ids.append(agent_id)
        self._seen_at.append(seen_at)
        self._heartbeat_at.append(heartbeat_at or 0)
        if len(self._agent_ids) >= self._room:
            self._compact()

    def forget(self, agent_id: str) -> None:
        self._forgotten[agent_id] = len(self._agent_ids)

    def absorb(self, newer: "News") -> None:
        """Adds what was said later, and keeps the last word on each: this may go on for long."""
        for agent_id in newer._forgotten:
            self.forget(agent_id)
        for seen in newer:
            self.add(*seen)
        self._compact()

    def _compact(self) -> None:
        last: dict[str, tuple[int, int]] = {}
        for agent_id, seen_at, heartbeat_at in self:
            # No news of a heartbeat takes nothing from an earlier one.
            last[agent_id] = seen_at, heartbeat_at or last.get(agent_id, (0, 0))[1]
        self._agent_ids = list(last)
        self._seen_at = array("q", (seen_at for seen_at, _ in last.values()))
        self._heartbeat_at = array("q", (heartbeat_at for _, heartbeat_at in last.values()))
        # Still forgotten for the reader that absorbs this: there may be news of before.
        self._forgotten = dict.fromkeys(self._forgotten, 0)
        self._room = max(ROOM, 2 * len(last))

    def __iter__(self) -> Iterator[Seen]:
        rows = zip(self._agent_ids, self._seen_at, self._heartbeat_at, strict=True)
        for number, (agent_id, seen_at, heartbeat_at) in enumerate(rows):
            if number >= self._forgotten.get(agent_id, 0):
                yield agent_id, seen_at, heartbeat_at or None

    def __len__(self) -> int:
        return len(self._agent_ids)
