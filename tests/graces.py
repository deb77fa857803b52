"""Grace periods of a fleet that a test is alone with."""

from dscore._core import AgentRow, Fleet


def expire(fleet: Fleet, now: int, limit: int) -> list[AgentRow]:
    """Ends those that are due, at most so many; the agents that are offline now."""
    wants = dict.fromkeys(("connects", "arrivals", "disconnects", "statuses"), False)
    fleet.want(**wants, changes=True, times=(0, 0, 0), age=0)
    fleet.expire(now, limit)
    notes = fleet.notes()
    return [] if notes is None else notes.changed
