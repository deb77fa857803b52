"""What the tests with real clients share."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

import dscore
from protocol.support import Running, Settings, eventually
from socketio_clients import LIBRARIES, NEWEST, TRANSPORTS, Client, Clients
from socketio_dialect.cable import Cable

Transports = Sequence[str] | None


def kind(library: str, name: str, *marks: pytest.MarkDecorator) -> Any:
    return pytest.param(library, TRANSPORTS[name], id=f"{library}-{name}", marks=marks)


COMMON = [
    kind(library, name)
    for library in LIBRARIES
    for name in TRANSPORTS
    if library == NEWEST or name == "default"
]
RARE = [
    kind(library, name, pytest.mark.slow)
    for library in LIBRARIES
    for name in TRANSPORTS
    if library != NEWEST and name != "default"
]
KINDS = COMMON + RARE
every_kind = pytest.mark.parametrize(("library", "transports"), KINDS)
"""Each library with each way to connect: for what an end, an upgrade, a size or the form of a
message has to do with. What an older one does in only one of the ways is left to `make check-slow`:
in its own way it polls first and is on a WebSocket then."""
each_client = pytest.mark.parametrize(("library", "transports"), COMMON)
"""Each library in its own way, polling and then an upgrade; the newest in each. For what a message
says: it is read after the transport, and the same for all three, so that the other six could not
differ."""
every_library = pytest.mark.parametrize("library", LIBRARIES)
every_transport = pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS)

QUICK = {"shutdown": {"timeout": 0.6, "notice": 0.3, "close_timeout": 0.5}}
FOR_GOOD = (1000, 1008, 4409)
"""Codes before which a DISCONNECT packet is sent; 1008 for two of its reasons only."""
TOKENS = {
    "auth": {"required": True, "tokens": ["agent-secret"], "operator_tokens": ["operator-secret"]}
}


def merged(*all_settings: Settings) -> Settings:
    """Settings of several sections."""
    return {section: keys for settings in all_settings for section, keys in settings.items()}


def base(here: Running) -> str:
    """Where Socket.IO clients connect; the path /socket.io/ is their own default."""
    return f"http://127.0.0.1:{here.port}"


def ends_as(transports: Transports) -> str:
    """The transport that such a client has in the end."""
    return "polling" if transports == ["polling"] else "websocket"


def is_left_behind(one: Client) -> bool:
    """Whether any close by the server is for good: python-socketio takes the close packet of
    Engine.IO, with which a polling session ends, for an order to stay away."""
    return (one.library, one.transport) == ("python", "polling")


async def ended(
    one: Client, code: int, cable: Cable | None = None, *, for_good: bool | None = None
) -> None:
    """Waits until the server has ended its connection with this code.

    Args:
        cable: what it is connected by, if no other connection there ends with this code.
        for_good: whether it was sent away; None: as the code has it.
    """
    gone = await one.disconnected()
    sent_away = code in FOR_GOOD if for_good is None else for_good
    assert gone.for_good == (sent_away or is_left_behind(one)), gone
    if cable is not None and one.transport == "websocket":
        await cable.brings_close(code)


async def one_of_each(
    clients: Clients, url: str, *, quick: bool = True, introduced: bool = True
) -> list[Client]:
    """A client of every kind, with its own name; connected only, or introduced as well."""

    async def begin(library: str, way: str, transports: Transports) -> Client:
        name = f"{library}-{way}"
        if introduced:
            return await clients.introduce(library, url, transports, name=name, quick=quick)
        return await clients.connect(library, url, transports, name=name, quick=quick, greeting=[])

    return list(
        await asyncio.gather(
            *(
                begin(library, way, transports)
                for library in LIBRARIES
                for way, transports in TRANSPORTS.items()
            )
        )
    )


async def is_connected(here: Running, name: str) -> bool:
    known = here.server.fleet.agent(name)
    return known is not None and known.connected


async def cut_off(one: Client, cable: Cable) -> None:
    """Cuts the cable until the client knows it: one that polls may be between two requests. One
    whose WebSocket is cut in the middle of an upgrade would know it at its ping timeout only."""
    await one.settled()

    async def knows_it() -> bool:
        cable.cut()
        return one.has("disconnect")

    await eventually(knows_it)
    assert not (await one.disconnected()).for_good


async def stays_away(here: Running, one: Client, witness: Client, cable: Cable) -> None:
    """That it does not come back: not even while another one, of the same library and through the
    same cable, has come back twice. That one leaves then."""
    for _ in range(2):
        await cut_off(witness, cable)
        await witness.connected()
    assert not one.has("connect")
    assert not one.has("reconnect_attempt")
    await witness.disconnect()

    async def has_left() -> bool:
        return not await is_connected(here, witness.name)

    # Or else the server's end would wait for it; a good-bye that is lost costs that time only.
    with suppress(AssertionError):
        await eventually(has_left, 2)


class Echo(dscore.Policy):
    """Sends every message back, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> None:
        self.heard.append(message)
        agent.send(message)


async def all_connected(here: Running, names: Sequence[str]) -> None:
    async def they_are() -> bool:
        _, document = await here.health()
        return set(names) <= set(document["connected_instances"])

    await eventually(they_are, 30)
