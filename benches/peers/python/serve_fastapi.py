"""The exchange on FastAPI, uvicorn, uvloop and httptools."""

import asyncio
import sys
from types import FrameType

import uvicorn
from exchange import BACKLOG, CLOSE, GOODBYE, HOST, Exchange
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
exchange: Exchange[WebSocket] = Exchange()


@app.websocket("/deepstream/ws")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            answer = exchange.hear(socket, await socket.receive_text())
            if answer is CLOSE:
                await socket.close(1000, GOODBYE)
                break
            if answer is not None:
                await socket.send_text(answer.decode())
    except WebSocketDisconnect:
        pass
    finally:
        exchange.gone(socket)


class Server(uvicorn.Server):
    """uvicorn alone closes every WebSocket 1012 before the application hears of SIGTERM."""

    _drain: "asyncio.Task[None] | None" = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._drain = self._drain or asyncio.get_running_loop().create_task(self._terminate())

    async def _terminate(self) -> None:
        for socket, text in exchange.terminate():
            await socket.send_text(text.decode())
        await exchange.empty.wait()
        self.should_exit = True


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
