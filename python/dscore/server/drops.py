"""Messages that outboxes had no room for: every one is counted, and the log names their agents."""

from typing import TYPE_CHECKING

from dscore.log import get_logger

if TYPE_CHECKING:
    from dscore._core import Fleet

MAX_LINES = 100
"""Agents named between two sweeps; of the others there is one line."""

_log = get_logger("dscore.server")


class Drops:
    """Counts, and logs an agent's first at once."""

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet
        self._named: set[str] = set()
        self._messages = 0
        self._agents: set[str] = set()

    def take(self) -> int:
        """Sees what was dropped since it was called last; how many."""
        total = 0
        for agent_id, count in self._fleet.take_drops():
            total += count
            if agent_id not in self._named and len(self._named) < MAX_LINES:
                self._named.add(agent_id)
                _log.warning("outbox_dropped", agent_id=agent_id, messages=count)
            else:
                self._messages += count
                self._agents.add(agent_id)
        return total

    def sum_up(self) -> None:
        """Logs what the lines so far have left out."""
        if self._messages:
            _log.warning("outboxes_dropped", messages=self._messages, agents=len(self._agents))
        self._messages = 0
        self._agents.clear()
        self._named.clear()
