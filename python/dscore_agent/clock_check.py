"""Whether a certificate is out of its dates, or this machine's clock is wrong, and by how much.

A board without a battery begins in 1970. To find out, the server is asked once more without
verifying who it is: for the dates of its certificate, and for the time that it has. Nothing of the
agent's is told to it, and nothing that it says is used but for a sentence in the log.
"""

import asyncio
import re
import ssl
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from dscore_agent.dial import Dialer
from dscore_agent.exchange import Exchange
from dscore_agent.timeout import timeout

SECONDS = 5.0
"""For all of it."""
TOLERANCE = 60.0
"""Seconds by which two clocks may differ without either being wrong."""
MAX_BODY = 64 * 1024

_READ_BYTES = 16 * 1024
_TIME = re.compile(rb"\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z")
"""UTCTime and GeneralizedTime as RFC 5280 §4.1.2.5 has them: always to the second, and in UTC."""


class Look(NamedTuple):
    """What the server said, in Unix seconds; None: it did not."""

    begins: float | None = None
    ends: float | None = None
    time: float | None = None


async def explain(host: str, port: int, dialer: Dialer) -> str | None:
    """A sentence on the dates of a server's certificate; None: it could not be found out.

    Args:
        host: The name, or the address, of the server.
        port: Its port.
        dialer: Makes the TCP connection.
    """
    try:
        async with timeout(SECONDS):
            look = await _look(host, port, dialer)
    except (OSError, ValueError, asyncio.TimeoutError):
        return None
    return sentence(look, time.time())


def sentence(look: Look, now: float) -> str | None:
    """What the dates come to.

    Args:
        look: What the server said.
        now: This machine's time, in Unix seconds.
    """
    if look.begins is None or look.ends is None:
        return None
    dates = f"it is valid from {_day(look.begins)} to {_day(look.ends)}"
    here = f"this machine's clock says {_day(now)}"
    there = look.time
    if there is not None and look.begins <= there <= look.ends and abs(there - now) > TOLERANCE:
        way = "behind" if now < there else "ahead of"
        return (
            f"this machine's clock is wrong: it says {_day(now)}, {_length(abs(there - now))} "
            f"{way} the server's {_day(there)}; set it, the server's certificate is fine ({dates})"
        )
    if now > look.ends:
        off = _length(now - look.ends)
        return f"the server's certificate expired {off} ago ({dates}; {here}): renew it there"
    if now < look.begins:
        off = _length(look.begins - now)
        return (
            f"the server's certificate is not valid yet ({dates}), or this machine's clock is at "
            f"least {off} behind: it says {_day(now)}"
        )
    return None


async def _look(host: str, port: int, dialer: Dialer) -> Look:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    one = await dialer.dial(host, port, secure=True)
    try:
        reader, writer = await asyncio.open_connection(sock=one, ssl=context, server_hostname=host)
    except BaseException:
        one.close()
        raise
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        begins, ends = validity(certificate or b"")
        return Look(begins, ends, await _date(host, reader, writer))
    finally:
        writer.transport.abort()


async def _date(
    host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> float | None:
    """The server's time; a server that wants a client certificate answers nothing."""
    name = f"[{host}]" if ":" in host else host
    exchange = Exchange("GET", "/livez", name, [("connection", "close")])
    try:
        writer.write(exchange.request)
        response = None
        while response is None:
            response = exchange.receive(await reader.read(_READ_BYTES), MAX_BODY)
        date = response.headers.get(b"date", b"").decode("latin-1")
        return parsedate_to_datetime(date).timestamp()
    except (OSError, ValueError, TypeError):
        return None


def validity(certificate: bytes) -> tuple[float | None, float | None]:
    """From when to when a certificate is valid, in Unix seconds.

    Args:
        certificate: In DER. Its validity is the first pair of times in it: before it come numbers,
            and names, which are other types (RFC 5280 §4.1).
    """
    found = _TIME.finditer(certificate)
    times = [_seconds(match[1], match[2]) for match, _ in zip(found, range(2), strict=False)]
    return (times[0], times[1]) if len(times) == 2 else (None, None)


def _seconds(short: bytes | None, full: bytes | None) -> float | None:
    if short is not None:
        # RFC 5280 §4.1.2.5.1: from 50 on it is the last century.
        full = (b"19" if short[:2] >= b"50" else b"20") + short
    try:
        moment = datetime.strptime((full or b"").decode(), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment.replace(tzinfo=timezone.utc).timestamp()


def _day(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def _length(seconds: float) -> str:
    for size, name in ((365.25 * 86_400, "year"), (86_400, "day"), (3600, "hour")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}s"
    return f"{seconds / 60:.0f} minutes"
