"""One HTTP request and its response, without a socket: for the health page and for CONNECT."""

import math
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import h11

MAX_HEAD = 64 * 1024
"""Bytes of a response's head."""


class Response(NamedTuple):
    """What the server answered; header names are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Exchange:
    """Send `request`, then give `receive` what comes, until it returns the response."""

    def __init__(
        self, method: str, target: str, host: str, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Writes the request.

        Args:
            method: GET, or CONNECT.
            target: The request's target (RFC 9112 §3.2).
            host: The value of `Host`.
            headers: Fields beside it.
        """
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        request = h11.Request(method=method, target=target, headers=[("host", host), *headers])
        self.request = (self._connection.send(request) or b"") + (
            self._connection.send(h11.EndOfMessage()) or b""
        )
        self._head: h11.Response | None = None
        self._body = bytearray()

    def receive(self, data: bytes, max_body: int) -> Response | None:
        """Takes bytes of the response; b"" is its end.

        Returns:
            The response, once it is whole.

        Raises:
            ValueError: It is no HTTP, or its body is longer than `max_body` bytes.
        """
        if not data and self._head is None:
            raise ValueError("the connection was closed without an answer")
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.Response):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > max_body:
                        raise ValueError(f"the answer is longer than {max_body} bytes")
                elif self._head is not None:  # The end, or the other protocol after a CONNECT.
                    return self._whole(self._head)
        except h11.RemoteProtocolError as error:
            raise ValueError(f"the answer is no HTTP: {error}") from None

    def _whole(self, head: h11.Response) -> Response:
        return Response(head.status_code, dict(head.headers), bytes(self._body))


def retry_after(status: int, value: str | None, date: str | None) -> float | None:
    """The seconds of a `Retry-After` (RFC 9110 §10.2.3) with 429 or 503; None: none of use.

    Args:
        status: Of the response.
        value: The field: seconds, or a date.
        date: The server's own `Date`: this machine's clock may be years off, so a date of the one
            counts from the date of the other, or not at all.
    """
    if status not in (429, 503) or value is None:
        return None
    digits = value.strip()
    if digits.isascii() and digits.isdigit():
        return float(digits) if len(digits) < 20 else math.inf
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError):
        return None
    return max(wait.total_seconds(), 0.0)
