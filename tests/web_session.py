"""Sessions of aiohttp that leave nothing behind: what is not closed is found unclosed when it is
collected, in whichever test runs then."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp

from protocol.support import eventually


async def _read_whole(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    answer = await handler(request)
    if answer.status != HTTPStatus.SWITCHING_PROTOCOLS:
        await answer.read()
    return answer


def plain(connector: aiohttp.BaseConnector | None = None) -> aiohttp.ClientSession:
    """One for python-socketio, which drops answers that it has not read, connections and all."""
    return aiohttp.ClientSession(connector=connector, middlewares=[_read_whole])


@asynccontextmanager
async def secure(trust: ssl.SSLContext, source: str) -> AsyncIterator[aiohttp.ClientSession]:
    """One that connects from the address `source`, and is over when its connections are: aiohttp
    does not wait for the end of TLS, nor does the loop when it ends."""
    sockets: list[socket.socket] = []

    def from_source(info: aiohttp.AddrInfoType) -> socket.socket:
        one = socket.socket(*info[:3])
        one.setblocking(False)
        one.bind((source, 0))
        sockets.append(one)
        return one

    async def all_closed() -> bool:
        return all(one.fileno() == -1 for one in sockets)

    connector = aiohttp.TCPConnector(ssl=trust, family=socket.AF_INET, socket_factory=from_source)
    async with plain(connector) as session:
        yield session
    await eventually(all_closed)
