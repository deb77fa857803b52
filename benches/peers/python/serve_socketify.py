"""The exchange on socketify: uWebSockets, from Python."""

import signal
import sys
from typing import Any

from exchange import CLOSE, GOODBYE, HOST, Exchange
from socketify import App, AppListenOptions, OpCode, Request, Response, WebSocket


class Agent:
    """socketify makes a new WebSocket of each callback; what stays the same is its user data."""

    socket: WebSocket


exchange: Exchange[Agent] = Exchange()
app = App()


def upgrade(response: Response, request: Request, context: Any) -> None:
    key = request.get_header("sec-websocket-key")
    response.upgrade(key, "", "", context, Agent())


def opened(socket: WebSocket) -> None:
    socket.get_user_data().socket = socket


def hear(socket: WebSocket, text: str, opcode: OpCode) -> None:
    answer = exchange.hear(socket.get_user_data(), text)
    if answer is CLOSE:
        socket.end(1000, GOODBYE)
    elif answer is not None:
        socket.send(answer, OpCode.TEXT)


def closed(socket: WebSocket, code: int, reason: str) -> None:
    exchange.gone(socket.get_user_data())


async def terminate() -> None:
    for agent, text in exchange.terminate():
        agent.socket.send(text, OpCode.TEXT)
    await exchange.empty.wait()
    app.close()


handlers = {"upgrade": upgrade, "open": opened, "message": hear, "close": closed}
app.ws("/deepstream/ws", {**handlers, "send_pings_automatically": False, "idle_timeout": 0})
app.listen(AppListenOptions(host=HOST, port=int(sys.argv[1])))
loop = app.loop.loop
loop.add_signal_handler(signal.SIGTERM, lambda: loop.create_task(terminate()))
app.run()
sys.exit(exchange.exit_code)
