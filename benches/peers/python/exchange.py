"""What every Python peer does with its agents' messages; the library's part is in its own file.

Nothing of the protocol beneath and no I/O: a peer hands in the text it received, with whatever the
library calls a connection, and sends what it gets back. A library that reads JSON itself is handed
objects, and hands them in.
"""

import asyncio
import ssl
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, Generic, Literal, TypeVar

import orjson

C = TypeVar("C")
Message = dict[str, Any]

HOST = "127.0.0.1"
BACKLOG = 4096
"""Of every peer that can be told one: a fleet comes back all at once."""

NEXT_HEARTBEAT_MS = 30_000
CLOSE: Literal[b""] = b""
"""The answer that is none: this agent has acked, close it 1000 with `GOODBYE`."""
GOODBYE = "Client terminated"


def context(files: Sequence[str]) -> ssl.SSLContext | None:
    """How to speak TLS where a certificate and its key follow the port; else None."""
    if not files:
        return None
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(*files)
    return secure


class Exchange(Generic[C]):
    """The registry of one server, and the requests it waits for."""

    def __init__(self) -> None:
        self.empty = asyncio.Event()
        """Set when the last agent has gone, once they were told to."""
        self.told = self.acked = 0
        self._agents: dict[str, C] = {}
        self._ids: dict[C, str] = {}
        self._waiting: dict[str, C] = {}
        self._draining = False

    def hear(self, connection: C, text: str | bytes | memoryview) -> bytes | None:
        """Takes one message of an agent.

        Returns:
            What to send, `CLOSE`, or None.
        """
        message = orjson.loads(text)
        answer = self.answer(connection, message["type"], message)
        return orjson.dumps(answer) if answer else answer

    def answer(self, connection: C, kind: str, message: Message) -> Message | Literal[b""] | None:
        """The same, of objects."""
        match kind:
            case "app_ready":
                return self._introduce(connection, message["instance_id"])
            case "heartbeat":
                return _heartbeat_response()
            case "app_terminated" if message["status"] == "OK":
                if self._waiting.pop(message["request_id"], None) == connection:
                    self.acked += 1
                    return CLOSE
        return None

    def _introduce(self, connection: C, agent_id: str) -> Message:
        self._agents[agent_id] = connection
        self._ids[connection] = agent_id
        return {
            "type": "app_ready_ack",
            "status": "ok",
            "session_restored": False,
            "server_status": "running",
            "nextHeartbeatIn": NEXT_HEARTBEAT_MS,
        }

    def terminate(self) -> Iterator[tuple[C, bytes]]:
        """Begins the end: every agent, with the terminate_app that is its own."""
        for connection, message in self.orders():
            yield connection, orjson.dumps(message)

    def orders(self) -> Iterator[tuple[C, Message]]:
        """The same, of objects."""
        self._draining = True
        for connection in list(self._agents.values()):
            request_id = str(uuid.uuid4())
            self._waiting[request_id] = connection
            self.told += 1
            message = {
                "type": "terminate_app",
                "request_id": request_id,
                "reason": "Server shutting down",
            }
            yield connection, message
        self._check()

    def gone(self, connection: C) -> None:
        """The connection has ended."""
        if (agent_id := self._ids.pop(connection, None)) is not None:
            self._agents.pop(agent_id, None)
        self._check()

    def _check(self) -> None:
        if self._draining and not self._agents:
            self.empty.set()

    @property
    def exit_code(self) -> int:
        """0 if every agent that was told has acked, else 3."""
        return 0 if self.acked == self.told else 3


def _heartbeat_response() -> Message:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return {
        "type": "heartbeat_response",
        "status": "ok",
        "timestamp": now.replace("+00:00", "Z"),
        "message": "heartbeat received",
        "nextHeartbeatIn": NEXT_HEARTBEAT_MS,
    }
