"""HTTP as bytes: requests that no library sends, whole or byte by byte, and their answers."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from http.client import parse_headers
from io import BufferedReader
from typing import Literal

DEADLINE_SECONDS = 30.0

Pace = Literal["whole", "bytewise"]
PACES: tuple[Pace, ...] = ("whole", "bytewise")


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    fields: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def allow(self) -> set[str]:
        """The methods that Allow names."""
        return {name.strip() for name in self.fields["allow"].split(",")}


class Line:
    """A TCP connection to a server."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), DEADLINE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader: BufferedReader = self.socket.makefile("rb")

    def send(self, data: bytes, pace: Pace = "whole") -> None:
        """Sends. That a server has closed in the middle is no failure: its answer says why."""
        size = len(data) if pace == "whole" else 1
        with suppress(ConnectionError):
            for at in range(0, len(data), size):
                self.socket.sendall(data[at : at + size])

    def end(self) -> None:
        """Sends no more, and goes on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "GET") -> Answer | None:
        """The next response, to a request of this method; None at the end of the connection."""
        try:
            line = self._reader.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        version, status, *_ = line.decode().split(" ", 2)
        assert version == "HTTP/1.1", line
        parsed = parse_headers(self._reader)
        fields = {name.lower(): value for name, value in parsed.items()}
        assert len(fields) == len(parsed.keys()), f"a field twice in {parsed}"
        return Answer(int(status), fields, self._body(int(status), fields, method))

    def _body(self, status: int, fields: dict[str, str], method: str) -> bytes:
        if status < 200 or status in (204, 304) or method == "HEAD":
            return b""
        if (length := fields.get("content-length")) is not None:
            return self._reader.read(int(length))
        if fields.get("transfer-encoding") == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self._reader.read()

    def _chunk(self) -> bytes:
        data = self._reader.read(int(self._reader.readline(), 16))
        assert self._reader.readline() == b"\r\n"
        return data

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self.socket.close()


def answers(
    address: tuple[str, int], request: bytes, pace: Pace = "whole", *, method: str = "GET"
) -> list[Answer]:
    """All responses to `request`, and to one more that is sent behind it and ends the connection.

    So the last is 200 where the connection could go on, and what follows a request that was refused
    would show.
    """
    last = b"GET /livez HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"
    found = []
    with Line(*address) as line:
        line.send(request + last, pace)
        while (answer := line.answer("GET" if found else method)) is not None:
            found.append(answer)
    return found


def statuses(address: tuple[str, int], request: bytes, pace: Pace = "whole") -> list[int]:
    """Their statuses."""
    return [answer.status for answer in answers(address, request, pace)]
