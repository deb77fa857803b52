"""The exchange on python-socketio, uvicorn, uvloop and httptools, by WebSocket alone."""

import asyncio
import sys
from types import FrameType
from typing import Any

import orjson
import socketio
import uvicorn
from exchange import BACKLOG, CLOSE, HOST, Exchange

exchange: Exchange[str] = Exchange()


class Json:
    """orjson, as python-socketio calls a JSON library."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str, **_: object) -> Any:
        return orjson.loads(text)


io = socketio.AsyncServer(
    async_mode="asgi",
    transports=["websocket"],
    json=Json,
    # A handler of ours does not wait for anything: no task is needed for each event.
    async_handlers=False,
    ping_interval=30,
    ping_timeout=120,
)


@io.on("*")
async def hear(kind: str, sid: str, message: dict[str, Any]) -> None:
    answer = exchange.answer(sid, kind, message)
    if answer is CLOSE:
        await io.disconnect(sid)
    elif answer is not None:
        await say(sid, answer)


async def say(sid: str, message: dict[str, Any]) -> None:
    await io.emit(message.pop("type"), message, to=sid)


@io.event
async def disconnect(sid: str, reason: str) -> None:
    exchange.gone(sid)


class App(socketio.ASGIApp):
    """Counts the connections: Socket.IO tells of a disconnect before anything was sent."""

    def __init__(self) -> None:
        super().__init__(io)
        self.open = 0
        self.empty = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return await super().__call__(scope, receive, send)
        self.open += 1
        self.empty.clear()
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.open -= 1
            if not self.open:
                self.empty.set()


class Server(uvicorn.Server):
    """uvicorn alone closes every WebSocket 1012 before the application hears of SIGTERM."""

    _drain: "asyncio.Task[None] | None" = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._drain = self._drain or asyncio.get_running_loop().create_task(self._terminate())

    async def _terminate(self) -> None:
        for sid, message in exchange.orders():
            await say(sid, message)
        await exchange.empty.wait()
        await app.empty.wait()
        self.should_exit = True


app = App()
config = uvicorn.Config(
    app,
    host=HOST,
    port=int(sys.argv[1]),
    backlog=BACKLOG,
    loop="uvloop",
    http="httptools",
    ws_per_message_deflate=False,
    ws_ping_interval=None,
    log_level="warning",
)
Server(config).run()
sys.exit(exchange.exit_code)
