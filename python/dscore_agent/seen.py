"""Messages that were seen already: after a crash of the server a kept one may come twice."""

from collections import OrderedDict

MAX_SEEN = 1000
"""Ids that are remembered (PROTOCOL §7)."""
_MAX_ID = 128
"""Characters; a UUID has 36, and a longer one is not worth its memory."""


class SeenIds:
    """The last `message_id`s."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_repeated(self, message_id: object) -> bool:
        """Whether this id was among the last; from now on it is. What is no id never is."""
        if not isinstance(message_id, str) or len(message_id) > _MAX_ID:
            return False
        if message_id in self._ids:
            self._ids.move_to_end(message_id)
            return True
        self._ids[message_id] = None
        if len(self._ids) > MAX_SEEN:
            self._ids.popitem(last=False)
        return False
