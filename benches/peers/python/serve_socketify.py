"""The exchange on socketify: uWebSockets, from Python."""

import signal
import sys

from exchange import CLOSE, GOODBYE, HOST, Exchange
from socketify import App, AppListenOptions, OpCode, WebSocket

exchange: Exchange[WebSocket] = Exchange()
app = App()


def hear(socket: WebSocket, text: str, opcode: OpCode) -> None:
    answer = exchange.hear(socket, text)
    if answer is CLOSE:
        socket.end(1000, GOODBYE)
    elif answer is not None:
        socket.send(answer, OpCode.TEXT)


def closed(socket: WebSocket, code: int, reason: str) -> None:
    exchange.gone(socket)


async def terminate() -> None:
    for socket, text in exchange.terminate():
        socket.send(text, OpCode.TEXT)
    await exchange.empty.wait()
    app.close()


app.ws(
    "/deepstream/ws",
    {"message": hear, "close": closed, "send_pings_automatically": False, "idle_timeout": 0},
)
app.listen(AppListenOptions(host=HOST, port=int(sys.argv[1])))
loop = app.loop.loop
loop.add_signal_handler(signal.SIGTERM, lambda: loop.create_task(terminate()))
app.run()
sys.exit(exchange.exit_code)
