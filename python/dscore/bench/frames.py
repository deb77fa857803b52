"""The client's side of RFC 6455, as far as a simulated agent needs it. No sockets.

It is for our own server on loopback: what breaks the rules is an error, not a close code.
"""

from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_ZERO_KEY = bytes(4)


def upgrade(host: str, path: str) -> bytes:
    """The request that opens a WebSocket. The key may be the same for all: nothing is between."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join((*lines, "", "")).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """One masked frame. The key is zero (RFC 6455 §5.3 wants one that cannot be guessed, for the
    sake of proxies): the server unmasks all the same, and the fleet saves the time."""
    if len(payload) < 126:
        return bytes((_FINAL | opcode, _MASKED | len(payload))) + _ZERO_KEY + payload
    length = len(payload).to_bytes(2, "big")
    return bytes((_FINAL | opcode, _MASKED | 126)) + length + _ZERO_KEY + payload


class Reader:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The opcode and payload of each frame that is complete.

        Raises:
            ValueError: A frame that this server never sends.
        """
        data = self._kept + data if self._kept else data
        at = 0
        while len(data) - at >= 2:
            head, length, body = data[at], data[at + 1], at + 2
            if not head & _FINAL or head & 0x70 or length > 126:
                raise ValueError(f"unexpected frame {data[at : at + 2].hex()}")
            if length == 126:
                if len(data) < body + 2:
                    break
                length = int.from_bytes(data[body : body + 2], "big")
                body += 2
            if len(data) < body + length:
                break
            at = body + length
            yield head & 0x0F, data[body:at]
        self._kept = data[at:]
