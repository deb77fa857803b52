"""A server of asyncio's streams that leaves nothing behind: a connection that is not closed is
found unclosed when it is collected, in whichever test runs then."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TURNS = 3
"""Of the loop, until a connection that was accepted in the one before has reached its server."""


@asynccontextmanager
async def stream_server(
    handle: Handle, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Its port on loopback. Each connection is closed when `handle` is done with it; what has not
    ended with the server is cancelled."""
    running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Either end may be gone at any moment.
        with suppress(OSError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine: one that is cancelled before its first step has closed nothing.
        task = asyncio.create_task(serve(reader, writer))
        running[task] = writer
        task.add_done_callback(running.pop)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # Not closed yet: a connection that was accepted in the turn in which its server is closed
        # is dropped by asyncio (3.11), and left open.
        for each in server.sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())
        for _ in range(TURNS):
            await asyncio.sleep(0)
        server.close()
        tasks, writers = list(running), list(running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
