"""One WebSocket to the server: whole messages in and out, pings, and one way to end.

It knows neither agents nor what messages mean. A connection that brings no frame for
`ping_interval` + `ping_timeout` is cut.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from picows import (
    WSError,
    WSFrame,
    WSInvalidStatusError,
    WSInvalidURL,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSTransport,
    ws_connect,
)

from dscore_agent import cause, pins
from dscore_agent.alarm import Alarm
from dscore_agent.config import AgentConfig
from dscore_agent.dial import Dialer
from dscore_agent.exchange import retry_after

UPGRADE_SECONDS = 60.0
"""A server that has just started paces the upgrades of a fleet."""
CLOSE_SECONDS = 2.0
"""For the server's half of the closing handshake."""
MAX_MESSAGE = 10 * 1024 * 1024
"""Bytes of one message from the server."""

_NO_SUCH_SOCKET = frozenset({400, 404, 405, 426})

CUT = 1006
NO_CODE = 1005


_log_of_picows = logging.getLogger("dscore.agent.picows")
if _log_of_picows.level == logging.NOTSET:
    # It has lines about every connection, which the agent's own say better.
    _log_of_picows.setLevel(logging.WARNING)


class CloseInfo(NamedTuple):
    """How a connection ended."""

    code: int
    reason: str


class ConnectError(Exception):
    """The attempt made no connection; the message says why.

    Attributes:
        retry_after: Seconds of a `Retry-After` that came with it; None: there was none.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Connection(WSListener):
    """An open WebSocket. Made by `open_connection`."""

    def __init__(
        self,
        on_message: Callable[[bytes], None],
        on_writable: Callable[[], None],
        ping_interval: float,
        ping_timeout: float,
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_writable = on_writable
        self._ping_interval = ping_interval
        self._silence = ping_interval + ping_timeout
        self._last_seen = self._loop.time()
        self._transport: WSTransport | None = None
        self._silence_alarm = Alarm(self._keep_alive)
        self._hang_up: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self._fragments = bytearray()
        self._early: list[bytes] | None = []
        """Messages that came before `begin`; None: that was."""
        self._paused = False
        self._open = False
        self._close_info = CloseInfo(CUT, "")
        self.ended: asyncio.Future[CloseInfo] = self._loop.create_future()
        """Done when the socket is closed, with the server's code, or 1006."""

    @property
    def is_open(self) -> bool:
        """Neither side has begun to close."""
        return self._open

    @property
    def is_writable(self) -> bool:
        """A message sent now would not wait behind many others."""
        return self._open and not self._paused

    def begin(self) -> None:
        """Delivers messages from now on, first those that came along with the upgrade."""
        early, self._early = self._early or [], None
        for message in early:
            self._on_message(message)

    def send(self, message: bytes) -> None:
        """Sends a text message; on a connection that is closing it is lost."""
        if self._open and self._transport is not None:
            self._transport.send(WSMsgType.TEXT, message)

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake; the socket is closed within CLOSE_SECONDS."""
        if self._open and self._transport is not None:
            self._leave(self._transport, code.to_bytes(2, "big") + reason.encode())

    def abort(self, reason: str) -> None:
        """Closes the socket at once."""
        if self._transport is not None and not self.ended.done():
            self._open = False
            self._close_info = CloseInfo(CUT, reason)
            self._transport.disconnect(False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._open = True
        self._last_seen = self._loop.time()
        self._silence_alarm.arm(self._ping_interval)
        self._watch = self._loop.create_task(_watch(transport))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._last_seen = self._loop.time()
        kind = frame.msg_type
        if kind == WSMsgType.PING:
            if self._open:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            self._closed_by_server(transport, frame.get_payload_as_bytes())
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._text(transport, frame)
        elif kind == WSMsgType.BINARY and self._open:
            self._leave(transport, (1003).to_bytes(2, "big"))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._open = False
        self._disarm()
        if not self.ended.done():
            self.ended.set_result(self._close_info)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._on_writable()

    def _text(self, transport: WSTransport, frame: WSFrame) -> None:
        if not self._open:
            return
        payload = frame.get_payload_as_bytes()
        if frame.fin and not self._fragments:
            self._deliver(payload)
            return
        self._fragments += payload
        if len(self._fragments) > MAX_MESSAGE:
            self._leave(transport, (1009).to_bytes(2, "big"))
        elif frame.fin:
            message = bytes(self._fragments)
            self._fragments.clear()
            self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        if self._early is None:
            self._on_message(message)
        else:
            self._early.append(message)

    def _closed_by_server(self, transport: WSTransport, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NO_CODE
        self._close_info = CloseInfo(code, payload[2:].decode(errors="replace"))
        if self._open:
            # RFC 6455 §5.5.1: the answer echoes the code. The server closes the socket (§7.1.1).
            self._leave(transport, payload)

    def _leave(self, transport: WSTransport, payload: bytes) -> None:
        self._open = False
        transport.send(WSMsgType.CLOSE, payload)
        self._disarm()
        self._hang_up = self._loop.call_later(CLOSE_SECONDS, transport.disconnect, False)

    def _keep_alive(self, gap: float) -> None:
        # Not looked is not silent: what came meanwhile lies in the socket, and is read next.
        self._last_seen += gap
        silent = self._loop.time() - self._last_seen
        if silent >= self._silence:
            self.abort("ping timeout")
            return
        if self._transport is not None and silent >= self._ping_interval:
            self._transport.send_ping()
        # Traffic moves no timer: it is looked at when the timer fires.
        wait = self._ping_interval - silent
        if wait <= 0:
            wait = min(self._ping_interval, self._silence - silent)
        self._silence_alarm.arm(wait)

    def _disarm(self) -> None:
        self._silence_alarm.cancel()
        if self._hang_up is not None:
            self._hang_up.cancel()
            self._hang_up = None


async def _watch(transport: WSTransport) -> None:
    # What the server did wrong is in the log already; unasked for, asyncio would write it again.
    with contextlib.suppress(Exception):
        await transport.wait_disconnected()


async def open_connection(
    config: AgentConfig,
    tls: ssl.SSLContext | None,
    dialer: Dialer,
    *,
    on_message: Callable[[bytes], None],
    on_writable: Callable[[], None],
) -> Connection:
    """Connects and upgrades; `begin` comes next.

    Args:
        config: The address, the times of pings.
        tls: For wss.
        dialer: Makes the TCP connection.
        on_message: Takes each message's bytes, once the connection was told to `begin`.
        on_writable: Called when a full connection takes messages again.

    Raises:
        ConnectError: The server is not reached, or refuses the upgrade.
    """
    dialled: list[socket.socket] = []

    async def dial(url: WSParsedURL) -> socket.socket:
        dialled.append(await dialer.dial(url.host, url.port, secure=config.is_secure))
        return dialled[0]

    times = config.ping_interval, config.ping_timeout
    opening = asyncio.ensure_future(
        ws_connect(
            lambda: Connection(on_message, on_writable, *times),
            config.connect_url,
            ssl_context=tls,
            websocket_handshake_timeout=UPGRADE_SECONDS,
            logger_name=_log_of_picows,
            enable_auto_pong=False,
            max_frame_size=MAX_MESSAGE,
            max_redirects=0,
            socket_factory=dial,
        )
    )
    try:
        transport, connection = await asyncio.shield(opening)
        if tls is not None and config.server_fingerprints:
            _look(transport, config.server_fingerprints)
    except asyncio.CancelledError:
        await _abandon(opening, dialled)
        raise
    # UnicodeError: a name that no name server could know, such as `a..b`.
    except (OSError, asyncio.TimeoutError, WSError, WSInvalidURL, UnicodeError) as error:
        raise await _connect_error(error, config.url, dialer) from None
    if connection is None:
        raise ConnectError("the server closed the connection during the upgrade")
    assert isinstance(connection, Connection)
    return connection


def _look(transport: WSTransport, fingerprints: tuple[str, ...]) -> None:
    """Leaves a server that is another than those that are known."""
    try:
        pins.check(transport.underlying_transport.get_extra_info("ssl_object"), fingerprints)
    except pins.FingerprintError:
        transport.disconnect(graceful=False)
        raise


async def _connect_error(error: Exception, url: str, dialer: Dialer) -> ConnectError:
    """What this means for the attempt."""
    if isinstance(error, WSInvalidStatusError):
        return ConnectError(_refusal(error), _retry_after(error))
    if isinstance(error, asyncio.TimeoutError):
        return ConnectError("no answer in time")
    if isinstance(error, ssl.SSLError):
        return ConnectError(await cause.of(error, url, dialer))
    return ConnectError(str(error) or type(error).__name__)


def _refusal(error: WSInvalidStatusError) -> str:
    """What the server answered in place of the upgrade, and what that usually means."""
    if error.response is None:
        return str(error)
    status = int(error.response.status)
    words = f"HTTP {status} instead of a WebSocket"
    if status in _NO_SUCH_SOCKET:
        return f"{words}: is this the address for agents of a dscore server?"
    return words


def _retry_after(error: WSInvalidStatusError) -> float | None:
    if error.response is None:
        return None
    headers = error.response.headers
    return retry_after(int(error.response.status), headers.get("retry-after"), headers.get("date"))


async def _abandon(opening: "asyncio.Future[Any]", dialled: list[socket.socket]) -> None:
    """Ends a connection that is being made, and leaves no socket behind.

    picows keeps the socket of an upgrade whose waiter was cancelled; shut down, it closes itself.
    """
    if not dialled:
        opening.cancel()
    for one in dialled:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
    await asyncio.wait({opening}, timeout=CLOSE_SECONDS)
    if opening.done() and not opening.cancelled():
        opening.exception()  # Seen: no other task asks for it.
