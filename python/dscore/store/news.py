"""When agents were last heard of, as it waits to be written: a whole fleet's news at once, so in
columns of plain numbers. As tuples they would be seven times as large."""

from array import array
from collections.abc import Iterator
from itertools import chain

from dscore.store.rows import Seen


class News:
    """What was said last of an agent comes last, and counts."""

    __slots__ = ("_agent_ids", "_forgotten", "_heartbeat_at", "_seen_at")

    def __init__(self) -> None:
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

    def forget(self, agent_id: str) -> None:
        self._forgotten[agent_id] = len(self._agent_ids)

    def merged(self, newer: "News") -> "News":
        """With what was said later: only the last word on each, for this may go on for long."""
        for agent_id in newer._forgotten:
            self.forget(agent_id)
        merged = News()
        for seen in {seen[0]: seen for seen in chain(self, newer)}.values():
            merged.add(*seen)
        return merged

    def __iter__(self) -> Iterator[Seen]:
        rows = zip(self._agent_ids, self._seen_at, self._heartbeat_at, strict=True)
        for number, (agent_id, seen_at, heartbeat_at) in enumerate(rows):
            if number >= self._forgotten.get(agent_id, 0):
                yield agent_id, seen_at, heartbeat_at or None

    def __len__(self) -> int:
        return len(self._agent_ids)
