"""PROTOCOL.md §2, RFC 6455 §4: an offered subprotocol is answered, on every WebSocket endpoint."""

import pytest
from websockets.asyncio.client import connect

from protocol.support import running, tcp
from socketio_wire.agents import PATH
from socketio_wire.support import Here

RAW = "/deepstream/ws"
ENGINE_IO = f"{PATH}?EIO=4&transport=websocket"
OLDER = f"{PATH}?EIO=3&transport=websocket"
each_endpoint = pytest.mark.parametrize("target", [RAW, ENGINE_IO, OLDER])


@each_endpoint
@pytest.mark.parametrize(
    ("spoken", "offered", "chosen"),
    [
        ([], ["graphql-ws"], "graphql-ws"),
        ([], ["b", "a"], "b"),
        (["a", "b"], ["b", "a"], "a"),
        (["a"], ["A", "b"], None),
    ],
)
async def test_2_an_offered_subprotocol_is_answered(
    target: str, spoken: list[str], offered: list[str], chosen: str | None
) -> None:
    async with running({"socket": {"subprotocols": spoken}}) as here:
        url = f"ws://127.0.0.1:{here.port}{target}"
        async with connect(url, subprotocols=offered, proxy=None) as one:  # type: ignore[arg-type]
            assert one.subprotocol == chosen


async def test_2_an_upgrade_from_polling_answers_it_too() -> None:
    async with running() as here:
        session = await Here(here.port, PATH, None).open()
        url = f"ws://127.0.0.1:{here.port}{ENGINE_IO}&sid={session.sid}"
        async with connect(url, subprotocols=["fleet"], proxy=None) as one:  # type: ignore[list-item]
            assert one.subprotocol == "fleet"
            await one.send("2probe")
            assert await one.recv() == "3probe"


@each_endpoint
@pytest.mark.parametrize("offer", ["", ",", "a,", "a,,b", "a b", "a, b, a", 'a"b', "a;q=1"])
async def test_2_an_offer_that_is_no_list_of_different_tokens_is_400(
    target: str, offer: str
) -> None:
    async with running() as here, tcp(here.ws) as one:
        await one.send(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Protocol: {offer}\r\n\r\n".encode()
        )
        assert (await one.head())[0] == 400
        assert b"Sec-WebSocket-Protocol must be a list" in await one.ended()
