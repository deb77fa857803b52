"""One process of simulated agents: `python -m dscore.bench.fleet PORT FIRST COUNT`.

Every agent introduces itself, then answers terminate_app at once. Events are JSON lines on stdout:
`introduced` when all are, `progress` a few times a second, `report` when the last connection has
ended. Moments are of the monotonic clock, which all processes of a machine share.
"""

import asyncio
import resource
import sys
import time
from typing import Any, cast

import orjson
import uvloop

from dscore.bench import frames

HOST = "127.0.0.1"
PATH = "/deepstream/ws"
AT_ONCE = 64
"""Introductions under way in one process: fewer than any backlog holds."""
PATIENCE = 60.0
"""Seconds for the introductions."""
PROGRESS = 0.2


class Fleet:
    """What the agents of this process have seen."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.introduced = self.acked = self.ended = 0
        self.began_ns = 0
        self.receipts_ns: list[int] = []
        self.request_ids: set[str] = set()
        self.close_codes: dict[int, int] = {}
        self.closed_ns = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, sentence: str) -> None:
        if not self.over.done():
            self.over.set_exception(RuntimeError(sentence))

    def note_end(self, code: int) -> None:
        self.ended += 1
        self.closed_ns = time.monotonic_ns()
        self.close_codes[code] = self.close_codes.get(code, 0) + 1
        if self.ended == self.count and not self.over.done():
            self.over.set_result(None)

    def report(self) -> dict[str, Any]:
        return {
            "event": "report",
            "acked": self.acked,
            "receipts_ns": self.receipts_ns,
            "request_ids": len(self.request_ids),
            "close_codes": {str(code): count for code, count in self.close_codes.items()},
            "closed_ns": self.closed_ns,
        }


class Agent(asyncio.Protocol):
    """One agent."""

    _transport: asyncio.Transport

    def __init__(self, agent_id: str, request: bytes, fleet: Fleet) -> None:
        self._id = agent_id
        self._request = request
        self._fleet = fleet
        self._reader: frames.Reader | None = None
        self._head = b""
        self._code = 1006
        self.introduced: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            if self._reader is None:
                self._head += data
                head, separator, data = self._head.partition(b"\r\n\r\n")
                if not separator:
                    return
                self._upgraded(head)
            assert self._reader is not None
            for opcode, payload in self._reader.feed(data):
                self._hear(opcode, payload)
        except (ValueError, KeyError) as error:
            self._fleet.fail(f"{self._id}: {error}")
            self._transport.abort()

    def _upgraded(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ValueError(f"refused: {head[:80]!r}")
        self._reader = frames.Reader()
        self._say({"type": "app_ready", "instance_id": self._id, "config": {}})

    def _say(self, message: dict[str, Any]) -> None:
        self._transport.write(frames.frame(frames.TEXT, orjson.dumps(message)))

    def _hear(self, opcode: int, payload: bytes) -> None:
        match opcode:
            case frames.TEXT:
                self._obey(orjson.loads(payload))
            case frames.PING:
                self._transport.write(frames.frame(frames.PONG, payload))
            case frames.CLOSE:
                self._code = int.from_bytes(payload[:2], "big") if payload else 1005
                self._transport.write(frames.frame(frames.CLOSE, payload[:2]))

    def _obey(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "app_ready_ack":
                self._fleet.introduced += 1
                self.introduced.set_result(None)
            case "terminate_app":
                self._fleet.receipts_ns.append(time.monotonic_ns())
                request_id = message["request_id"]
                self._fleet.request_ids.add(request_id)
                self._fleet.acked += 1
                answer = {"status": "OK", "message": "stopped", "request_id": request_id}
                self._say({"type": "app_terminated", **answer})

    def connection_lost(self, error: Exception | None) -> None:
        if not self.introduced.done():
            self.introduced.set_exception(ConnectionError(f"{self._id} was cut off"))
        self._fleet.note_end(self._code)


async def play(port: int, first: int, count: int) -> dict[str, Any]:
    """Introduces the agents and waits for their ends.

    Returns:
        The report.
    """
    fleet = Fleet(count)
    telling = asyncio.create_task(_tell_progress(fleet))
    request = frames.upgrade(f"{HOST}:{port}", PATH)
    numbers = iter(range(first, first + count))
    loop = asyncio.get_running_loop()

    async def introduce() -> None:
        for number in numbers:
            agent_id = f"agent-{number}"
            _, agent = await loop.create_connection(
                lambda agent_id=agent_id: Agent(agent_id, request, fleet),  # type: ignore[misc]
                HOST,
                port,
            )
            await agent.introduced

    fleet.began_ns = time.monotonic_ns()
    introducing = asyncio.gather(*(introduce() for _ in range(AT_ONCE)))
    # A fleet that failed need not be waited for.
    waiting = (introducing, fleet.over)
    await asyncio.wait(waiting, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    if fleet.over.done():
        fleet.over.result()
    if not introducing.done():
        raise RuntimeError(f"after {PATIENCE:.0f} s only {fleet.introduced} are introduced")
    introducing.result()
    _tell(event="introduced", began_ns=fleet.began_ns, ended_ns=time.monotonic_ns())
    await fleet.over
    telling.cancel()
    return fleet.report()


async def _tell_progress(fleet: Fleet) -> None:
    while True:
        _tell(event="progress", introduced=fleet.introduced, ended=fleet.ended)
        await asyncio.sleep(PROGRESS)


def _tell(**event: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def main(words: list[str]) -> None:
    """Plays and tells; a word on stderr and exit code 1 when it came to nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, first, count = map(int, words)
    try:
        _tell(**uvloop.run(play(port, first, count)))
    except (OSError, RuntimeError) as error:
        sys.exit(f"dscore bench: the fleet: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
