"""How much of what a peer says is written down: it costs a peer nothing, and a disk fills up."""

from dscore.log import get_logger

LINES_A_SECOND = 20
"""Of one connection. No reader goes on after that many."""

_log = get_logger("dscore.server")


class LogLimit:
    """Counts what each connection has caused to be logged or recorded within a second."""

    def __init__(self) -> None:
        self._second = 0
        self._written: dict[int, int] = {}
        """Connection -> lines it has caused, those that were left out included."""

    def allows(self, conn: int, now: int) -> bool:
        """Whether one more is to be written; what is not is told of as a number, once a second."""
        self.settle(now)
        written = self._written.get(conn, 0) + 1
        self._written[conn] = written
        return written <= LINES_A_SECOND

    def settle(self, now: int) -> None:
        """Tells how much was left out in a second that is over. Called now and then as well: after
        the last flood no other line may come."""
        second = now // 1000
        if second == self._second:
            return
        for conn, written in self._written.items():
            if written > LINES_A_SECOND:
                _log.warning("too_many_lines", conn_id=conn, lines=written - LINES_A_SECOND)
        self._written.clear()
        self._second = second
