"""The exchange on picows and uvloop."""

import asyncio
import signal
import sys

import picows
import uvloop
from exchange import BACKLOG, CLOSE, GOODBYE, HOST, Exchange, context
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

READ_BUFFER = 4096
"""Of each connection; the default of 16 KiB is not for fleets with short messages."""

exchange: Exchange[WSTransport]


class Agent(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            # The answer to our own close frame, or the agent's wish.
            if transport.is_close_frame_sent:
                transport.disconnect()
            else:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
            return
        answer = exchange.hear(transport, frame.get_payload_as_memoryview())
        if answer is CLOSE:
            transport.send_close(WSCloseCode.OK, GOODBYE.encode())
        elif answer is not None:
            transport.send(WSMsgType.TEXT, answer)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        exchange.gone(transport)


async def serve(port: int, *files: str) -> int:
    global exchange
    exchange = Exchange()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await picows.ws_create_server(
        lambda _: Agent(),
        HOST,
        port,
        read_buffer_init_size=READ_BUFFER,
        backlog=BACKLOG,
        ssl=context(files),
    )
    await stop.wait()
    for transport, text in exchange.terminate():
        transport.send(WSMsgType.TEXT, text)
    await exchange.empty.wait()
    server.close()
    return exchange.exit_code


sys.exit(uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:])))
