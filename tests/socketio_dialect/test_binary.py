"""Bytes in the messages of real clients, both ways."""

from typing import Any

import pytest

import dscore
from protocol.support import eventually, running
from socketio_clients import Clients
from socketio_dialect.support import Echo, Transports, base, every_kind, every_library
from wire import agent

# Each begins with what a transport could take for a packet, or ends or separates one.
TRICKY = [
    b"",
    b"\x04",
    b"\x04\x00\xff",
    b"4",
    b'42["heartbeat",{}]',
    b"0123456789",
    b"b4AAAA",
    b"\x00",
    b"\x1e",
    b"\x01\x05\xff\x04",
    b"\xff\x00:",
    bytes(range(256)) * 5,
]


@every_kind
async def test_bytes_go_both_ways(clients: Clients, library: str, transports: Transports) -> None:
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["frame"])
        for image in TRICKY:
            await one.emit("frame", {"image": image, "n": 1})
            assert await one.message("frame") == {"image": image, "n": 1}
            assert policy.heard.pop() == {"type": "frame", "image": image, "n": 1}


@every_kind
async def test_several_attachments_find_their_places(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy = Echo()
    message = {"images": [b"\x04a", {"deep": b"4b"}, "text", None], "mask": b"", "n": [b"\x1e"]}
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["frame"])
        await one.emit("frame", message)
        assert await one.message("frame") == message
        assert policy.heard == [{"type": "frame", **message}]


@every_kind
async def test_bytes_and_text_stay_in_order(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["frame"])
        for n in range(40):
            content: object = bytes([n]) * n if n % 2 else "사" * n
            await one.emit("frame", {"n": n, "content": content})
        for n in range(40):
            content = bytes([n]) * n if n % 2 else "사" * n
            assert await one.message("frame") == {"n": n, "content": content}


@every_kind
async def test_an_agent_is_sent_bytes(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), transports, listen=["x"])
        known = here.server.fleet.agent("b-1")
        assert known is not None
        for data in TRICKY:
            assert known.send({"type": "x", "data": data}) is True
        for data in TRICKY:
            assert await one.message("x") == {"data": data}


@every_kind
async def test_a_large_frame(clients: Clients, library: str, transports: Transports) -> None:
    policy = Echo()
    image = bytes(range(256)) * 2500
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["frame"])
        await one.emit("frame", {"image": image})
        assert (await one.message("frame"))["image"] == image
        assert policy.heard[0]["image"] == image


@every_kind
async def test_acks_carry_bytes_both_ways(
    clients: Clients, library: str, transports: Transports
) -> None:
    class Answering(dscore.Policy):
        def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
            return {"thumbnail": message["image"][:3]}

    async with running(policy=Answering()) as here:
        taken = {"image": b"\x04\x00\xffimage"}
        one = await clients.introduce(
            library, base(here), transports, listen=["snapshot"], answers={"snapshot": taken}
        )
        assert await one.call("frame", {"image": b"4567"}) == [{"thumbnail": b"456"}]
        known = here.server.fleet.agent("b-1")
        assert known is not None
        assert await known.request("snapshot", {"mask": b"\x04"}) == taken
        assert await one.message("snapshot") == {"mask": b"\x04"}


@every_library
async def test_something_that_looks_like_a_placeholder_is_no_attachment(
    clients: Clients, library: str
) -> None:
    """What a client writes there stays what it is, and costs no connection."""
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), listen=["frame"])
        await one.emit("frame", {"image": {"_placeholder": True, "num": 0}})
        assert await one.message("frame") == {"image": {"_placeholder": True, "num": 0}}


@every_kind
@pytest.mark.parametrize("kind", ["heartbeat", "app_ready"])
async def test_bytes_in_a_message_of_the_contract_are_refused(
    clients: Clients, library: str, transports: Transports, kind: str
) -> None:
    names = {"heartbeat": "clientName", "app_ready": "instance_id"}
    async with running() as here:
        one = await clients.introduce(library, base(here), transports)
        await one.emit(kind, {names[kind]: b"b-1"})
        assert (await one.message("error"))["request_type"] == kind
        await one.emit("heartbeat", {"clientName": "b-1"})
        await one.message("heartbeat_response")


@every_library
async def test_bytes_do_not_wait_for_an_agent_that_is_away(clients: Clients, library: str) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), listen=["x"])
        known = here.server.fleet.agent("b-1")
        assert known is not None
        await one.disconnect()

        async def gone() -> bool:
            return not known.connected

        await eventually(gone)
        with pytest.raises(dscore.NotConnectedError):
            known.send({"type": "x", "data": b"\x04"})


async def test_a_raw_agent_takes_no_bytes() -> None:
    async with running() as here, agent(here.ws, "a-1") as raw:
        known = here.server.fleet.agent("a-1")
        assert known is not None
        with pytest.raises(ValueError, match="bytes"):
            known.send({"type": "x", "data": b"\x04"})
        await raw.beat()
