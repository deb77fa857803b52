"""The bare core inside an asyncio program: no registry, no policy, no pages of dscore.

    python examples/bare_core.py --port 8765

ws://127.0.0.1:8765/echo sends back what it gets, any other request is answered with how many
connections there are, and the program's own coroutines run beside it all.
"""

import argparse
import asyncio
import json
import signal

from dscore import core


class Echo:
    """The program: everything dscore knows of it is the pool it was given."""

    def __init__(self, pool: core.ReactorPool) -> None:
        self.pool = pool
        self.connections: set[int] = set()
        self.echoed = 0
        self.alone = asyncio.Event()
        """Set when the last connection has ended."""

    async def run(self) -> None:
        async for event in core.events(self.pool):
            match event:
                case core.Opened():
                    self.connections.add(event.conn)
                case core.Message():
                    self.echoed += 1
                    send = self.pool.send_binary if event.binary else self.pool.send
                    send(event.conn, event.data)
                case core.Closed():
                    self.connections.discard(event.conn)
                    if not self.connections:
                        self.alone.set()
                case core.HttpRequest():
                    body = json.dumps({"connections": len(self.connections)}).encode()
                    headers = [(b"content-type", b"application/json")]
                    self.pool.respond(event.conn, 200, headers, body)

    async def report(self) -> None:
        """Something else that the program does."""
        while True:
            await asyncio.sleep(10)
            print(f"{len(self.connections)} connections, {self.echoed} echoes", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8765)
    port = parser.parse_args().port

    pool = core.ReactorPool(core.CoreConfig(port=port, endpoints={"/echo": "plain"}))
    pool.start()
    print("listening on ws://{}:{}/echo".format(*pool.address()), flush=True)
    echo = Echo(pool)
    tasks = [asyncio.create_task(echo.run()), asyncio.create_task(echo.report())]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()

    pool.set_serving_state("draining")
    pool.close_all(1001, "going away")
    if echo.connections:
        echo.alone.clear()
        await echo.alone.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pool.close()


if __name__ == "__main__":
    asyncio.run(main())
