"""The exchange on websockets and uvloop."""

import asyncio
import signal
import sys

import uvloop
from exchange import BACKLOG, CLOSE, GOODBYE, HOST, Exchange, context
from websockets.asyncio.server import ServerConnection, serve

exchange: Exchange[ServerConnection]


async def talk(connection: ServerConnection) -> None:
    try:
        async for text in connection:
            answer = exchange.hear(connection, text)
            if answer is CLOSE:
                await connection.close(1000, GOODBYE)
            elif answer is not None:
                await connection.send(answer, text=True)
    finally:
        exchange.gone(connection)


async def run(port: int, *files: str) -> int:
    global exchange
    exchange = Exchange()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # Short messages are not worth compressing; no peer sends pings (README.md).
    options = {"compression": None, "ping_interval": None, "backlog": BACKLOG}
    async with serve(talk, HOST, port, ssl=context(files), **options):
        await stop.wait()
        for connection, text in exchange.terminate():
            await connection.send(text, text=True)
        await exchange.empty.wait()
    return exchange.exit_code


sys.exit(uvloop.run(run(int(sys.argv[1]), *sys.argv[2:])))
