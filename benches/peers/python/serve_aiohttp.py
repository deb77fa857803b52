"""The exchange on aiohttp and uvloop."""

import asyncio
import signal
import sys

import uvloop
from aiohttp import WSMsgType, web
from exchange import BACKLOG, CLOSE, GOODBYE, HOST, Exchange

exchange: Exchange[web.WebSocketResponse]


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    try:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            answer = exchange.hear(socket, message.data)
            if answer is CLOSE:
                await socket.close(code=1000, message=GOODBYE.encode())
            elif answer is not None:
                await socket.send_str(answer.decode())
    finally:
        exchange.gone(socket)
    return socket


async def run(port: int) -> int:
    global exchange
    exchange = Exchange()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_get("/deepstream/ws", talk)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port, backlog=BACKLOG).start()
    await stop.wait()
    for socket, text in exchange.terminate():
        await socket.send_str(text.decode())
    await exchange.empty.wait()
    await runner.cleanup()
    return exchange.exit_code


sys.exit(uvloop.run(run(int(sys.argv[1]))))
