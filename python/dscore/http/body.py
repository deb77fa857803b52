"""The body of one request, as the app receives it."""

import asyncio
from collections.abc import Callable

from dscore.http.types import Message, Request, Responder


class Body:
    """What the app has not received of a request yet.

    A small request comes whole. Of any other the core holds what has come and stops reading; it
    gives a part when it is asked, which is when the app receives: an app that does not is pressure
    on its client. Several tasks of an app may receive at once; each part goes to one of them.

    body    | receive             | a part comes   | the last part comes | ended
    --------|---------------------|----------------|---------------------|------
    asleep  | asks: asked         | -              | -                   | ended
    asked   | asked               | given: asleep  | given: whole        | ended
    whole   | waits               | -              | -                   | ended
    ended   | http.disconnect     | -              | -                   | ended
    """

    __slots__ = (
        "_has_ended",
        "_is_asked",
        "_more",
        "_news",
        "_part",
        "_pool",
        "_request",
        "_waits",
    )

    def __init__(
        self, pool: Responder, request: Request, waits: Callable[[Request, bool], None]
    ) -> None:
        """
        Args:
            waits: hears that a part is waited for, and that it has come.
        """
        self._pool = pool
        self._request = request
        self._waits = waits
        self._part: bytes | None = None if request.more else request.body
        """What has come: one part at most, for one is asked for at a time."""
        self._more = request.more
        """Whether another part follows what has come."""
        self._is_asked = False
        self._has_ended = False
        self._news = asyncio.Event()

    async def receive(self) -> Message:
        """The next event of the request: its parts, then the end of it.

        Raises:
            PoolClosedError: the server has closed its connections.
        """
        while self._part is None:
            if self._has_ended:
                return {"type": "http.disconnect"}
            if self._more and not self._is_asked:
                self._is_asked = True
                self._pool.read_body(self._request.conn)
                self._waits(self._request, True)
            self._news.clear()
            await self._news.wait()
        part, self._part = self._part, None
        return {"type": "http.request", "body": part, "more_body": self._more}

    def push(self, part: bytes, *, more: bool) -> None:
        """The part has come that was asked for."""
        self._part, self._more, self._is_asked = part, more, False
        self._waits(self._request, False)
        self._news.set()

    def end(self) -> None:
        """Nothing more comes: the request is answered, or its client has left."""
        self._has_ended = True
        self._news.set()
