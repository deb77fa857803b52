"""A TCP connection to the server: the addresses of its name side by side, or a proxy between.

RFC 8305: an address that does not answer costs a quarter of a second, not the attempt. Names are
looked up in a daemon thread, for no loop can end a look-up that hangs.
"""

import asyncio
import base64
import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohappyeyeballs import start_connection

from dscore_agent.exchange import MAX_HEAD, Exchange
from dscore_agent.thread import SharedCalls
from dscore_agent.timeout import timeout

DIAL_SECONDS = 10.0
"""For the look-up, the connection and the proxy's answer together."""
ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried beside the one before: RFC 8305 §5."""
DIRECT = "none"
"""The proxy setting for a direct connection, whatever the environment says."""

_READ_BYTES = 16 * 1024
_HTTP_PORT = 80
_AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class Dialer:
    """Connects to a server, again and again."""

    def __init__(self, proxy: str | None = None) -> None:
        """Connects to nothing yet.

        Args:
            proxy: `http://[user:password@]host[:port]`; "none" for no proxy; None: what the
                environment says (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`).
        """
        self._proxy = proxy
        self._lookups = SharedCalls("dscore-agent-dns")

    async def dial(self, host: str, port: int, *, secure: bool) -> socket.socket:
        """A connected socket that does not block.

        Args:
            host: A name or an address.
            port: Its port.
            secure: TLS will be spoken on it: which proxy of the environment is meant.

        Raises:
            OSError: No address could be reached, or the proxy refused.
            asyncio.TimeoutError: There was no connection within DIAL_SECONDS.
        """
        async with timeout(DIAL_SECONDS):
            return await self._dial(host, port, secure)

    async def _dial(self, host: str, port: int, secure: bool) -> socket.socket:
        proxy = proxy_for(host, self._proxy, secure=secure)
        if proxy is None:
            return await self._connect(host, port)
        parts = urlsplit(proxy)
        one = await self._connect(parts.hostname or "", parts.port or _HTTP_PORT)
        try:
            await _tunnel(one, host, port, parts.username, parts.password)
        except BaseException:
            one.close()
            raise
        return one

    async def _connect(self, host: str, port: int) -> socket.socket:
        return await start_connection(
            await self._addresses(host, port), happy_eyeballs_delay=ATTEMPT_DELAY
        )

    async def _addresses(self, host: str, port: int) -> list[_AddressInfo]:
        if _is_address(host):
            return _look_up(host, port)
        return await self._lookups.call(_look_up, host, port)

    def close(self) -> None:
        """Cancels what still waits for a look-up."""
        self._lookups.close()


def proxy_for(host: str, setting: str | None, *, secure: bool) -> str | None:
    """The proxy on the way to a host; None: there is none.

    What the environment says is not for this machine itself.

    Raises:
        OSError: The environment names what is no HTTP proxy.
    """
    if setting is not None:
        return None if setting == DIRECT else setting
    if _is_loopback(host) or proxy_bypass(host):
        return None
    proxies: Mapping[str, str] = getproxies()
    url = proxies.get("https" if secure else "http") or proxies.get("all")
    if not url:
        return None
    try:
        return check_proxy(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise OSError(f"the environment's proxy {error}") from None


def check_proxy(text: str) -> str:
    """The setting, if it is one.

    Raises:
        ValueError: It is no address of an HTTP proxy.
    """
    if text == DIRECT:
        return text
    try:
        parts = urlsplit(text)
        fits = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("must be none, or an address such as http://proxy.example:3128")
    return text


async def _tunnel(
    one: socket.socket, host: str, port: int, user: str | None, password: str | None
) -> None:
    """Has a proxy connect a socket through to the server (RFC 9110 §9.3.6).

    Raises:
        OSError: It did not.
    """
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = []
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        headers.append(("proxy-authorization", f"Basic {base64.b64encode(pair).decode()}"))
    exchange = Exchange("CONNECT", authority, authority, headers)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(one, exchange.request)
    try:
        # More than the head is never read with it: behind a CONNECT the client speaks first.
        response = None
        while response is None:
            response = exchange.receive(await loop.sock_recv(one, _READ_BYTES), MAX_HEAD)
    except ValueError as error:
        raise OSError(f"the proxy: {error}") from None
    if response.status == 407:
        raise OSError("the proxy wants a user and a password: proxy=http://USER:PASSWORD@HOST:PORT")
    if not 200 <= response.status < 300:
        raise OSError(f"the proxy does not connect to {authority}: HTTP {response.status}")


def _look_up(host: str, port: int) -> list[_AddressInfo]:
    # An interface that was configured for a moment may double an address.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(found))


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.partition("%")[0])
        return True
    return False


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")
