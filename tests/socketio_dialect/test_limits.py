"""Real clients at the limits: the largest message and one byte more, too many errors, no room."""

from protocol.support import eventually, running
from socketio_clients import Clients
from socketio_dialect.cable import cable_to
from socketio_dialect.support import (
    Echo,
    Transports,
    all_connected,
    base,
    ended,
    every_kind,
    is_connected,
    is_left_behind,
)
from wire import agent

LARGEST = 5_000


def note_of(size: int, library: str, transports: Transports) -> dict[str, str]:
    """A note whose packet has this many bytes where they count: as a WebSocket message, or as the
    body of a POST."""
    packet = size
    if library == "js-2" and transports == ["polling"]:
        # Engine.IO 3 writes the length of a packet before it.
        packet = next(n for n in range(size, 0, -1) if n + len(f"{n}:") == size)
    return {"text": "x" * (packet - len('42["note",{"text":""}]'))}


@every_kind
async def test_the_largest_message_is_taken(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy = Echo()
    async with running({"socket": {"max_message_size": LARGEST}}, policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["note"])
        note = note_of(LARGEST, library, transports)
        await one.emit("note", note)
        assert await one.message("note") == note
        assert policy.heard == [{"type": "note", **note}]
        assert not one.has("disconnect")


@every_kind
async def test_one_byte_more_ends_the_connection_and_it_comes_back(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy = Echo()
    async with (
        running({"socket": {"max_message_size": LARGEST}}, policy=policy) as here,
        cable_to(here.port) as cable,
    ):
        one = await clients.introduce(library, cable.url, transports, listen=["note"])
        await one.emit("note", note_of(LARGEST + 1, library, transports))
        if transports == ["polling"]:
            await one.disconnected()
            assert 413 in cable.statuses
        else:
            await ended(one, 1009, cable)
        if not is_left_behind(one):
            await one.connected()
            await one.message("heartbeat_response")
        assert policy.heard == []


@every_kind
async def test_the_default_takes_a_megabyte(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["note"])
        note = note_of(1_000_000, library, transports)
        await one.emit("note", note)
        assert await one.message("note", 30) == note


@every_kind
async def test_attachments_count_one_by_one_on_a_websocket(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy = Echo()
    async with running({"socket": {"max_message_size": LARGEST}}, policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["frame"])
        # Base64 in a POST makes a third more of it.
        size = LARGEST // 2 if transports == ["polling"] else LARGEST - 1
        frame = {"image": b"\x04" * size}
        await one.emit("frame", frame)
        assert await one.message("frame") == frame


@every_kind
async def test_too_many_errors_end_the_connection_and_it_comes_back(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with (
        running({"limits": {"max_errors": 3}}) as here,
        cable_to(here.port) as cable,
    ):
        one = await clients.introduce(library, cable.url, transports)
        for _ in range(3):
            await one.emit("heartbeat", {"clientName": "b-2"})
        await ended(one, 1008, cable, for_good=False)
        assert len(one.heard("error")) == 3, "the last one is answered, too"
        if not is_left_behind(one):
            await one.connected()

            async def is_back() -> bool:
                return await is_connected(here, "b-1")

            await eventually(is_back)


@every_kind
async def test_where_there_is_no_room_it_tries_until_there_is(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running({"limits": {"connections": 1}}) as here, cable_to(here.port) as cable:
        async with agent(here.ws, "a-1"):
            one = await clients.begin(library, cable.url, transports)
            if library == "python":
                # It comes back by itself only where it has been before.
                assert one.has("connect_error")
            else:
                await one.tried_again()
            assert not await is_connected(here, "b-1")
            if transports != ["websocket"]:
                assert 503 in cable.statuses

        async def is_in() -> bool:
            nonlocal one
            if library == "python" and not one.has("connect"):
                one = await clients.begin(library, cable.url, transports)
            return one.has("connect")

        await eventually(is_in, 15)
        await one.message("heartbeat_response")
        await all_connected(here, ["b-1"])
