"""What the server's health page says, as far as an agent cares."""

import asyncio
import errno
import os
import ssl
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

import httpcore
import orjson

BODY_LIMIT = 16 * 1024 * 1024
"""Bytes; the page lists every instance of the fleet, and 100,000 long names fit."""

_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


_NO_DOCUMENT = "{} is no health document (HTTP {}): is this the address of a dscore server?"


class Health(str, Enum):
    """An answer in a word."""

    OK = "ok"
    SHUTTING_DOWN = "shutting_down"
    UNREACHABLE = "unreachable"
    """No answer in time, or one that makes no sense."""
    UNKNOWN = "unknown"
    """Nobody has asked yet."""


class Look(NamedTuple):
    """One answer, and why there is none."""

    health: Health
    reason: str


async def check(url: str, timeout: float, tls: ssl.SSLContext | None) -> Look:
    """Asks once.

    Args:
        url: The health page.
        timeout: Seconds for everything together.
        tls: For https.
    """
    try:
        # All of it is bounded, not each read: a page that trickles in is no answer either.
        status, body = await asyncio.wait_for(_page(url, tls), timeout)
    except asyncio.TimeoutError:
        return Look(Health.UNREACHABLE, f"no answer within {timeout:g} s")
    except (*_FAILURES, OSError, ValueError) as error:
        return Look(Health.UNREACHABLE, _cause(error))
    health = _read(body)
    reason = "it says so" if health is not Health.UNREACHABLE else _NO_DOCUMENT.format(url, status)
    return Look(health, reason)


async def _page(url: str, tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    # A client for each look: it leaves no socket behind. httpcore and not httpx: it writes no line
    # into the program's log for each look, and takes no proxy of the environment, as the WebSocket
    # does not.
    async with (
        httpcore.AsyncConnectionPool(ssl_context=tls) as pool,
        pool.stream("GET", url, headers=[("accept", "application/json")]) as answer,
    ):
        body = bytearray()
        async for chunk in answer.aiter_stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                raise ValueError("the health document is too long")
    return answer.status, bytes(body)


def _cause(error: BaseException) -> str:
    """What happened, without the "all attempts failed" around it."""
    while isinstance(error.__cause__ or error.__context__, OSError):
        error = error.__cause__ or error.__context__ or error
    # TLS has numbers of its own.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        if error.errno is not None and error.errno in errno.errorcode:
            return os.strerror(error.errno)
        return error.strerror or str(error)
    return str(error) or type(error).__name__


def _read(body: bytes) -> Health:
    # The status code says nothing that the document does not.
    try:
        return judge(orjson.loads(body))
    except orjson.JSONDecodeError:
        return Health.UNREACHABLE


def judge(document: Any) -> Health:
    """The word for a health document."""
    if not isinstance(document, Mapping):
        return Health.UNREACHABLE
    websocket = document.get("websocket")
    closing = isinstance(websocket, Mapping) and websocket.get("is_shutting_down") is True
    if document.get("status") == "shutting_down" or closing:
        return Health.SHUTTING_DOWN
    return Health.OK if document.get("status") == "ok" else Health.UNREACHABLE
