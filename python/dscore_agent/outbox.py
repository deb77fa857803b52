"""Messages of the application on their way to the server: bounded, in order, from any thread."""

import threading
from collections import deque


class Outbox:
    """A queue that drops its oldest message when it is full, and counts them."""

    def __init__(self, limit: int) -> None:
        """Empty, open for all.

        Args:
            limit: The most messages that wait.
        """
        # Not `deque(maxlen=…)` alone: that would drop in silence.
        self._messages: deque[bytes] = deque()
        self._limit = limit
        self._lock = threading.Lock()
        self._refusing = False
        self._closed = False
        self._dropped = 0

    def put(self, message: bytes, *, is_control: bool) -> bool:
        """Takes a message, unless new work is refused. Safe from any thread.

        Args:
            is_control: Part of the protocol, which is never refused while the agent lives.

        Returns:
            Whether it was taken.
        """
        with self._lock:
            if self._closed or (self._refusing and not is_control):
                return False
            if len(self._messages) >= self._limit:
                self._messages.popleft()
                self._dropped += 1
            self._messages.append(message)
            return True

    def take(self) -> bytes | None:
        """The oldest message; None: there is none."""
        with self._lock:
            return self._messages.popleft() if self._messages else None

    def refuse(self, *, refusing: bool) -> None:
        """Refuses new work, or accepts it again."""
        with self._lock:
            self._refusing = refusing

    def close(self) -> None:
        """Refuses every message from now on."""
        with self._lock:
            self._closed = True

    @property
    def dropped(self) -> int:
        """Messages lost because too many waited."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._messages)
