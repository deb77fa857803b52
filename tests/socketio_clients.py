"""Socket.IO clients as their users have them: three majors of npm's socket.io-client, and
python-socketio. `make setup-clients` installs the former.

    one = await clients.connect("js-4", serving.url, ["websocket"], greeting=heartbeat("b-1"))
    order = await one.message("terminate_app")
    await one.emit("app_terminated", {"request_id": order["request_id"], "status": "OK"})
    assert (await one.disconnected()).for_good

All four behave alike here, whatever their libraries call things; what they do on the wire is their
own. What arrives while something else is waited for is kept, in order.
"""

import asyncio
import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import socketio

import web_session
from wire import DEADLINE_SECONDS

NODE = shutil.which("node")
DRIVER = Path(__file__).parent / "clients" / "driver.mjs"
INSTALLED = (DRIVER.parent / "node_modules" / ".package-lock.json").exists()

NEWEST = "js-4"
JAVASCRIPT = (NEWEST, "js-3", "js-2")
LIBRARIES = (*JAVASCRIPT, "python")
TRANSPORTS: dict[str, list[str] | None] = {
    "default": None,
    "websocket": ["websocket"],
    "polling": ["polling"],
}
"""What a client is told; None leaves it its own way: polling, then an upgrade."""

# PROTOCOL.md §3 and §4: what an application of the Socket.IO contract may listen for.
TYPES = (
    *("app_ready_ack", "reconnection_ack", "heartbeat_response", "connection_check"),
    *("terminate_app", "server_shutdown", "server_status_response", "error"),
    *("client_status_changed", "client_reconnected", "drain_progress"),
)
# The libraries' reasons for not coming back by themselves.
_SENT_AWAY = ("io server disconnect", "server disconnect")
_POLL_SECONDS = 0.005

Greeting = Sequence[Sequence[object]]


def heartbeat(name: str) -> Greeting:
    """Introduces an agent of the Socket.IO contract, on every connection anew."""
    return [["heartbeat", {"clientName": name}]]


def app_ready(name: str, **fields: object) -> Greeting:
    """Introduces an agent that knows terminate_app."""
    return [["app_ready", {"instance_id": name, **fields}]]


class Happening(NamedTuple):
    """Something that happened to a client."""

    what: str
    """connect, upgrade, disconnect, connect_error, reconnect_attempt, event, ack."""
    name: str
    """Of the event or the transport; id of the ack; else the reason."""
    args: list[Any]


class Disconnected(NamedTuple):
    """How a client was told of its end."""

    reason: str
    for_good: bool
    """Whether it was sent away: the library does not come back by itself then. A DISCONNECT packet
    does that; to python-socketio the close packet of Engine.IO, with which polling ends, too."""


class Client:
    """One client. The two kinds below fill in how it is told what to do."""

    def __init__(self, library: str, name: str) -> None:
        self.library = library
        self.name = name
        self.kept: list[Happening] = []
        self.transport = ""
        """The one it uses now."""
        self.upgrades = False
        """Whether it begins with polling and means to go on to a WebSocket."""
        self._acks = 0

    def happens(self, happening: Happening) -> None:
        """Takes note; from any thread."""
        if happening.what in ("connect", "upgrade"):
            self.transport = happening.name
        self.kept.append(happening)

    async def emit(self, event: str, *args: object) -> None:
        """Emits an event without asking for an ack."""
        raise NotImplementedError

    async def call(self, event: str, *args: object, seconds: float = DEADLINE_SECONDS) -> list[Any]:
        """Emits an event and returns the arguments of its ack."""
        self._acks += 1
        mark = str(self._acks)
        await self._emit_with_ack(mark, event, *args)
        return (await self._next("ack", mark, seconds)).args

    async def _emit_with_ack(self, mark: str, event: str, *args: object) -> None:
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Leaves, and does not come back."""
        raise NotImplementedError

    async def message(self, event: str, seconds: float = DEADLINE_SECONDS) -> Any:
        """The argument of the next event of this name: one object, as in every message of ours."""
        args = (await self._next("event", event, seconds)).args
        assert len(args) == 1, args
        return args[0]

    async def connected(self, seconds: float = DEADLINE_SECONDS) -> str:
        """Waits until it has joined its namespace; returns the transport it did so with."""
        return (await self._next("connect", None, seconds)).name

    async def upgraded(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Waits until it has a WebSocket, which it may have had from the start."""
        await self._until(lambda: self.transport == "websocket", "upgrade", seconds)

    async def settled(self) -> None:
        """Waits until the transport is the one it will keep, for the server as well."""
        if self.upgrades:
            await self.upgraded()
            # What is answered over the new one shows that the server has changed over, too.
            await self.call("client_status_request", {"clientName": self.name})
            await self.message("server_status_response")

    async def disconnected(self, seconds: float = DEADLINE_SECONDS) -> Disconnected:
        reason = (await self._next("disconnect", None, seconds)).name
        return Disconnected(reason, reason in _SENT_AWAY)

    async def tried_again(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Waits until it tries to come back; only the JavaScript clients tell."""
        await self._next("reconnect_attempt", None, seconds)

    async def refused(self, seconds: float = DEADLINE_SECONDS) -> str:
        """What the connect error of its namespace says."""
        if self.library == "js-2":
            error = await self.message("error", seconds)
        else:
            happening = await self._next("connect_error", None, seconds)
            error = happening.args[0] if happening.args else happening.name
        return str(error["message"] if isinstance(error, dict) else error)

    def heard(self, event: str) -> list[Any]:
        """The events of this name that have come so far and were not waited for."""
        return [one.args[0] for one in self.kept if (one.what, one.name) == ("event", event)]

    def has(self, what: str) -> bool:
        """Whether this has happened and was not waited for."""
        return any(one.what == what for one in self.kept)

    async def _next(self, what: str, name: str | None, seconds: float) -> Happening:
        def find() -> int | None:
            for at, one in enumerate(self.kept):
                if one.what == what and name in (None, one.name):
                    return at
            return None

        await self._until(lambda: find() is not None, f"{what} {name or ''}", seconds)
        at = find()
        assert at is not None
        return self.kept.pop(at)

    async def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{self.library} {self.name}: no {what}, but {self.kept}")
            # What happens is told by another thread, to whichever test runs.
            await asyncio.sleep(_POLL_SECONDS)


class Node:
    """The program that all JavaScript clients live in; one for a whole run of tests."""

    def __init__(self) -> None:
        assert NODE is not None
        self.process = subprocess.Popen(
            [NODE, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._clients: dict[int, JavaScriptClient] = {}
        self._numbers = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def add(self, client: "JavaScriptClient") -> int:
        self._numbers += 1
        self._clients[self._numbers] = client
        return self._numbers

    def do(self, what: str, number: int, **fields: object) -> None:
        """Sends one command; see driver.mjs."""
        assert self.process.poll() is None, "the program of the clients has ended"
        assert self.process.stdin is not None
        command = {"do": what, "client": number, **fields}
        self.process.stdin.write(json.dumps(command, default=_as_text).encode() + b"\n")
        self.process.stdin.flush()

    def forget(self, number: int) -> None:
        self.do("forget", number)
        del self._clients[number]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line, object_hook=_with_bytes)
            # What a forgotten one still says is dropped.
            if client := self._clients.get(said["client"]):
                client.happens(Happening(said["what"], said["name"], said["args"]))

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)
        self.process.stdout.close()


def _as_text(value: object) -> dict[str, str]:
    assert isinstance(value, bytes)
    return {"$bytes": base64.b64encode(value).decode()}


def _with_bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value


class JavaScriptClient(Client):
    """One of npm's."""

    def __init__(
        self,
        node: Node,
        library: str,
        name: str,
        url: str,
        *,
        options: Mapping[str, object],
        listen: Sequence[str],
        answers: Mapping[str, object],
        greeting: Greeting,
    ) -> None:
        super().__init__(library, name)
        self._node = node
        self._number = node.add(self)
        self._do(
            "connect",
            library=library,
            url=url,
            options=options,
            listen=listen,
            answers={event: [value] for event, value in answers.items()},
            greeting=greeting,
        )

    def _do(self, what: str, **fields: object) -> None:
        self._node.do(what, self._number, **fields)

    async def emit(self, event: str, *args: object) -> None:
        self._do("emit", event=event, args=args, ack=None)

    async def _emit_with_ack(self, mark: str, event: str, *args: object) -> None:
        self._do("emit", event=event, args=args, ack=mark)

    async def disconnect(self) -> None:
        self._do("disconnect")

    async def close(self) -> None:
        self._node.forget(self._number)


class PythonClient(Client):
    """python-socketio's."""

    def __init__(
        self, name: str, *, answers: Mapping[str, object], greeting: Greeting, **options: Any
    ) -> None:
        super().__init__("python", name)
        self._answers = answers
        self._greeting = greeting
        self._namespace = "/"
        self._has_begun = False
        # Its own it would leave open where an attempt fails.
        self._http = web_session.plain()
        # A ctrl-C is for the tests.
        self._library = socketio.AsyncClient(
            handle_sigint=False, http_session=self._http, **options
        )

    async def connect(
        self,
        url: str,
        namespace: str,
        transports: Sequence[str] | None,
        auth: Mapping[str, object] | None,
    ) -> None:
        self._namespace = namespace
        library = self._library
        library.on("connect", self._on_connect, namespace=namespace)
        library.on("disconnect", self._on_disconnect, namespace=namespace)
        library.on("connect_error", self._on_connect_error, namespace=namespace)
        library.on("*", self._on_event, namespace=namespace)
        try:
            await library.connect(
                url, auth=auth, transports=transports, namespaces=[namespace], retry=False
            )
        except socketio.exceptions.ConnectionError as error:
            # The connect_error of a namespace has been noted with its own words by now.
            if not self.has("connect_error"):
                self.happens(Happening("connect_error", str(error), []))
        self._has_begun = True

    async def _on_connect(self) -> None:
        self.happens(Happening("connect", self._library.transport(), []))
        for event, *args in self._greeting:
            await self.emit(str(event), *args)

    async def _on_disconnect(self, reason: str) -> None:
        self.happens(Happening("disconnect", reason, []))

    async def _on_connect_error(self, *args: Any) -> None:
        self.happens(Happening("connect_error", "", list(args)))

    async def _on_event(self, event: str, *args: Any) -> Any:
        self.happens(Happening("event", event, list(args)))
        return self._answers.get(event)

    async def emit(self, event: str, *args: object) -> None:
        await self._library.emit(event, args, namespace=self._namespace)

    async def _emit_with_ack(self, mark: str, event: str, *args: object) -> None:
        def acknowledged(*values: Any) -> None:
            self.happens(Happening("ack", mark, list(values)))

        await self._library.emit(event, args, namespace=self._namespace, callback=acknowledged)

    async def disconnect(self) -> None:
        await self._library.disconnect()

    async def close(self) -> None:
        self._library.reconnection = False
        if self._has_begun:
            # What brings it back can be told to end once it has begun, and may still succeed.
            await asyncio.sleep(0)
            await self._library.shutdown()
            await self._library.disconnect()
        else:
            # It has no tasks yet to wait for, and fails if it is told to.
            await self._library.eio.disconnect(abort=True)
        await self._http.close()


class Clients:
    """Makes clients, and ends all of them afterwards."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._endings = AsyncExitStack()

    async def begin(
        self,
        library: str,
        url: str,
        transports: Sequence[str] | None = None,
        *,
        name: str = "b-1",
        greeting: Greeting | None = None,
        namespace: str = "/",
        auth: Mapping[str, object] | None = None,
        listen: Sequence[str] = (),
        answers: Mapping[str, object] | None = None,
        quick: bool = True,
    ) -> Client:
        """A client that has begun to connect.

        Args:
            transports: the `transports` option; None leaves the library its default.
            name: its agent id, for `greeting` and for what a failing test says.
            greeting: events emitted on every connection; None: its heartbeat.
            auth: of the CONNECT packet, which major 2 cannot send.
            listen: names of events beside those of the contract.
            answers: what the client acknowledges an event with, by the event's name.
            quick: comes back within a tenth of a second instead of one to five.
        """
        said = heartbeat(name) if greeting is None else greeting
        if library == "python":
            pace = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.1}
            jitter = {"randomization_factor": 0.0}
            options = {**pace, **jitter} if quick else {}
            one = PythonClient(name, answers=answers or {}, greeting=said, **options)
            self._endings.push_async_callback(one.close)
            one.upgrades = transports is None
            await one.connect(url, namespace, transports, auth)
            return one
        wishes: dict[str, object] = {}
        if transports is not None:
            wishes["transports"] = transports
        if auth is not None:
            assert library != "js-2", "it has no auth payload"
            wishes["auth"] = auth
        if quick:
            wishes |= {"reconnectionDelay": 50, "reconnectionDelayMax": 100}
        client = JavaScriptClient(
            self._node,
            library,
            name,
            url + namespace,
            options=wishes,
            listen=[*TYPES, *listen],
            answers=answers or {},
            greeting=said,
        )
        self._endings.push_async_callback(client.close)
        client.upgrades = transports is None
        return client

    async def connect(
        self, library: str, url: str, transports: Sequence[str] | None = None, **options: Any
    ) -> Client:
        """The same once it is connected, and upgraded if it means to."""
        one = await self.begin(library, url, transports, **options)
        await one.connected()
        await one.settled()
        return one

    async def introduce(
        self, library: str, url: str, transports: Sequence[str] | None = None, **options: Any
    ) -> Client:
        """The same once the server has answered its heartbeat or app_ready."""
        one = await self.connect(library, url, transports, **options)
        greeting = options.get("greeting")
        is_app = greeting is not None and greeting[0][0] == "app_ready"
        await one.message("app_ready_ack" if is_app else "heartbeat_response")
        return one

    async def close(self) -> None:
        await self._endings.aclose()
