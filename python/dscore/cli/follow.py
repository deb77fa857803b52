"""`dscore events`: one agent's timeline as it grows, or what the fleet's watchers are told.

The fleet is followed over the WebSocket as a watcher, with the agent's own client: its waits, its
proxies, its certificates. Neither ends with the server: it is waited for.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from dscore.cli import output, shapes
from dscore.cli.client import Client, RefusedError, agent_path, untrusted
from dscore.cli.drain_lines import progress_of
from dscore.cli.errors import FAILED, OK, CliError
from dscore.explain import clock
from dscore_agent.config import AgentConfig
from dscore_agent.errors import ConfigError
from dscore_agent.gateway import Gateway
from dscore_agent.reconnect import Reconnector, ReconnectPolicy
from dscore_agent.wire import ConnectError

INTERVAL = 1.0
"""Seconds between two looks at a timeline."""
PAGE = 1000
MAX_WAIT = 30.0
"""Seconds, of the waits for a server that is away."""


def timeline(client: Client, agent_id: str, *, limit: int, goes_on: bool, as_json: bool) -> int:
    """Shows the newest entries of a timeline, oldest first, and those that come.

    Raises:
        CliError: There is no such agent, or no server to begin with.
    """
    path = agent_path(agent_id, "/events")
    items = _page(client, path, max(1, limit))["items"]
    last = items[0]["number"] if items else 0
    _show_entries(reversed(items[:limit]), as_json=as_json)
    is_away = False
    with contextlib.suppress(KeyboardInterrupt):
        while goes_on:
            time.sleep(INTERVAL)
            try:
                fresh = list(_entries_after(client, path, last))
            except RefusedError as refusal:
                if refusal.status != 503:
                    raise
            except CliError as error:
                if not is_away:
                    output.complain(f"{error}; trying again")
                is_away = True
            else:
                is_away = False
                last = fresh[0]["number"] if fresh else last
                _show_entries(reversed(fresh), as_json=as_json)
    return OK


def _page(client: Client, path: str, limit: int, cursor: str | None = None) -> Any:
    more = {} if cursor is None else {"cursor": cursor}
    return client.call("GET", path, shapes.EVENTS, query={"limit": limit, **more})


def _entries_after(client: Client, path: str, last: int) -> Iterator[dict[str, Any]]:
    """The entries past a number, newest first."""
    cursor = None
    while True:
        page = _page(client, path, PAGE, cursor)
        for item in page["items"]:
            if item["number"] <= last:
                return
            yield item
        cursor = page.get("next_cursor")
        if cursor is None:
            return


def _show_entries(items: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    now = datetime.now().astimezone()
    on_the_wall = clock(now, now.tzinfo) if now.tzinfo else str
    for item in items:
        if as_json:
            output.record(item)
        else:
            output.line(f"{on_the_wall(item['at'])}  {output.printable(item['text'])}")


def fleet(client: Client, status: str | None, q: str | None, *, as_json: bool) -> int:
    """Shows what watchers are told, until ctrl-C.

    Raises:
        CliError: the server could not be reached even once, or refuses.
    """
    chosen = {"status": status, "q": q}
    wish: dict[str, Any] = {"type": "watch", "snapshot": False}
    wish["filter"] = {name: value for name, value in chosen.items() if value is not None}
    if client.token is not None:
        wish["token"] = client.token
    scheme, _, rest = client.url.partition("://")
    address = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/deepstream/ws"
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Follower(client, address, wish, as_json=as_json).follow())
    return OK


class _Follower:
    """Watches a server, and again when it has been away."""

    def __init__(
        self, client: Client, address: str, wish: dict[str, Any], *, as_json: bool
    ) -> None:
        self._client, self._url = client, client.url
        url = client.url
        self._wish = orjson.dumps(wish)
        self._as_json = as_json
        try:
            # A variable may name it while the address is a plain one.
            files = (client.cacert, client.cert, client.key)
            ca, cert, key = files if address.startswith("wss:") else (None, None, None)
            config = AgentConfig(
                url=address, ca_file=ca, cert_file=cert, key_file=key, health_check_enabled=False
            )
            self._gateway = Gateway(config)
            self._gateway.open()
        except ConfigError as error:
            raise CliError(f"--url {url}: {error}") from None
        self._reconnector = Reconnector(ReconnectPolicy(cap=MAX_WAIT), random.random)
        self._was_open = False

    async def follow(self) -> None:
        self._reconnector.begin()
        while True:
            try:
                wait = await self._once()
            except ConnectError as error:
                if not self._was_open:
                    if (words := untrusted(error, self._url)) is not None:
                        raise CliError(f"cannot reach {self._url}: {words}") from None
                    # In TLS 1.3 a client certificate is refused behind the handshake: of an upgrade
                    # that shows as its end, of a request it is known why.
                    with contextlib.suppress(RefusedError):
                        self._client.get("/deepstream/health", {})
                    sentence = f"cannot reach {self._url}: {error}; is the server running?"
                    raise CliError(f"{sentence} (--url or DSCORE_URL says where)") from None
                wait = self._reconnector.refused(retry_after=error.retry_after)
            await asyncio.sleep(wait)
            self._reconnector.due()

    async def _once(self) -> float:
        """One connection, from its opening to its end.

        Returns:
            Seconds to wait before the next one.

        Raises:
            ConnectError: It was not made.
            CliError: The server will not have it.
        """
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[bytes | None] = asyncio.Queue()
        connection = await self._gateway.connect(heard.put_nowait, lambda: None)
        self._reconnector.opened(loop.time())
        if self._was_open:
            output.complain(f"{self._url} is back; dscore why tells what was missed of an agent")
        self._was_open = True
        connection.ended.add_done_callback(lambda _: heard.put_nowait(None))
        connection.begin()
        connection.send(self._wish)
        # Not in the callback: what standard output raises belongs to this task.
        while (message := await heard.get()) is not None:
            self._hear(message)
        code, reason = connection.ended.result()
        wait = self._reconnector.closed(code, reason, loop.time())
        if wait is None or code == 1008:
            raise CliError(f"{self._url} closed the connection: {reason or code}")
        output.complain(f"lost the connection to {self._url} ({reason or code}); trying again")
        return wait

    def _hear(self, text: bytes) -> None:
        try:
            message = orjson.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise CliError(f"{self._url} does not speak like a dscore server; check --url")
        if message.get("type") == "error":
            raise CliError(_refusal(message), FAILED)
        after = message.get("reconnectAfter")
        if message.get("type") == "server_shutdown" and isinstance(after, int | float):
            self._reconnector.hinted(after / 1000)
        if self._as_json:
            output.record(message)
        else:
            now = datetime.now().astimezone().strftime("%H:%M:%S")
            output.line(f"{now}  {output.printable(_told(message))}")


def _refusal(message: Mapping[str, Any]) -> str:
    words = str(message.get("message", message.get("code"))).rstrip(".")
    if message.get("code") == "forbidden":
        return f"{words}; give an operator's or a watcher's token with --token or DSCORE_TOKEN"
    return words


def _told(message: dict[str, Any]) -> str:
    """A message to watchers, in words."""
    match message:
        case {"type": "client_status_changed", "name": name, "status": "online"}:
            return f"{name}: online"
        case {"type": "client_status_changed", "name": name, "status": status}:
            code, reason = message.get("reason_code"), message.get("reason")
            words = f" ({reason})" if reason and reason != code else ""
            return f"{name}: {status}, {code}{words}"
        case {"type": "client_reconnected", "clientName": name}:
            return f"{name}: reconnected"
        case {"type": "maintenance_changed", "enabled": enabled}:
            return f"maintenance is {'on' if enabled else 'off'}"
        case {"type": "server_shutdown", "message": words}:
            return f"the server shuts down: {words}"
        case {"type": "drain_progress", "total": int(), "pending": int()}:
            return f"drain: {progress_of(message)}"
    return orjson.dumps(message).decode()
