"""The server's health page: one request, and the part of its document that an agent needs."""

import asyncio
import ssl
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from dscore_agent import cause
from dscore_agent.dial import Dialer
from dscore_agent.exchange import Exchange, Response, retry_after
from dscore_agent.timeout import timeout
from dscore_agent.weight import MAX_WEIGHT, weight

MAX_BODY = 16 * 1024 * 1024
"""Bytes; the page lists every instance of the fleet, and 100,000 long names fit."""

_READ_BYTES = 64 * 1024
_NO_DOCUMENT = "{} is no health document (HTTP {}): is this the address of a dscore server?"


class Health(str, Enum):
    """What a health check found."""

    OK = "ok"
    SHUTTING_DOWN = "shutting_down"
    UNREACHABLE = "unreachable"
    """No answer in time, or one that makes no sense."""
    UNKNOWN = "unknown"
    """Not asked yet."""


class HealthCheck(NamedTuple):
    """The outcome of one health check.

    Attributes:
        health: In a word.
        reason: For the log.
        is_connected: Whether the instance that was asked about is connected; None: not said.
        retry_after: Seconds of a `Retry-After` with 429 or 503; None: there was none.
    """

    health: Health
    reason: str
    is_connected: bool | None = None
    retry_after: float | None = None


async def check(
    url: str, seconds: float, tls: ssl.SSLContext | None, dialer: Dialer
) -> HealthCheck:
    """Asks once.

    Args:
        url: The health page, with its query.
        seconds: For everything together.
        tls: For https.
        dialer: Makes the TCP connection.
    """
    try:
        # All of it is bounded, not each read: a page that trickles in is no answer either.
        async with timeout(seconds):
            response = await _page(url, tls, dialer)
    except asyncio.TimeoutError:
        return HealthCheck(Health.UNREACHABLE, f"no answer within {seconds:g} s")
    except (OSError, ValueError) as error:
        return HealthCheck(Health.UNREACHABLE, await cause.of(error, url, dialer))
    document = _document(response.body)
    health = judge(document)
    fields = (response.headers.get(name) for name in (b"retry-after", b"date"))
    value, date = (None if field is None else field.decode("latin-1") for field in fields)
    wait = retry_after(response.status, value, date)
    if health is Health.UNREACHABLE:
        words = _NO_DOCUMENT.format(url, response.status)
        return HealthCheck(health, words, retry_after=wait)
    said = document.get("instance_connected")
    return HealthCheck(health, "it says so", said if isinstance(said, bool) else None, wait)


async def _page(url: str, tls: ssl.SSLContext | None, dialer: Dialer) -> Response:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    fields = [("accept", "application/json"), ("connection", "close")]
    exchange = Exchange("GET", target, parts.netloc.rpartition("@")[2], fields)
    one = await dialer.dial(host, port, secure=tls is not None)
    name = None if tls is None else host
    try:
        reader, writer = await asyncio.open_connection(sock=one, ssl=tls, server_hostname=name)
    except BaseException:
        one.close()
        raise
    try:
        writer.write(exchange.request)
        while True:
            data = await reader.read(_READ_BYTES)
            if (response := exchange.receive(data, MAX_BODY)) is not None:
                return response
    finally:
        # Not closed in good form: TLS would wait for the server's half of it.
        writer.transport.abort()


def _document(body: bytes) -> Any:
    # The status code says nothing that the document does not.
    try:
        return None if weight(body) > MAX_WEIGHT else orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def judge(document: Any) -> Health:
    """The word for a health document."""
    if not isinstance(document, Mapping):
        return Health.UNREACHABLE
    websocket = document.get("websocket")
    closing = isinstance(websocket, Mapping) and websocket.get("is_shutting_down") is True
    if document.get("status") == "shutting_down" or closing:
        return Health.SHUTTING_DOWN
    return Health.OK if document.get("status") == "ok" else Health.UNREACHABLE
