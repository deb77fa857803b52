"""npm's clients send what they buffered offline before their `connect` handler introduces them
(PROTOCOL.md §2)."""

import pytest

from ports import lasting
from protocol.support import eventually, running
from socketio_clients import JAVASCRIPT, TRANSPORTS, Clients, app_ready, heartbeat
from socketio_dialect.support import TOKENS, Echo, Transports

each_javascript = pytest.mark.parametrize(
    ("library", "transports"),
    [
        pytest.param(library, transports, id=f"{library}-{name}")
        for library in JAVASCRIPT
        for name, transports in TRANSPORTS.items()
    ],
)


@each_javascript
async def test_what_was_buffered_offline_is_handled_and_nothing_ends(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy, port = Echo(), lasting()
    url = f"http://127.0.0.1:{port}"
    one = await clients.begin(library, url, transports, listen=["note"], greeting=heartbeat("b-1"))
    await one.tried_again()
    for n in range(10):
        await one.emit("note", {"n": n, "data": b"\x00\xff"})
    async with running({"listen": {"port": port}}, policy=policy) as here:
        await one.message("heartbeat_response")

        async def are_heard() -> bool:
            return [message["n"] for message in policy.heard] == list(range(10))

        await eventually(are_heard)
        assert policy.heard[0]["data"] == b"\x00\xff"
        assert [(await one.message("note"))["n"] for _ in range(10)] == list(range(10))
        await one.settled()
        assert not one.has("disconnect")
        assert not one.heard("error")
        assert here.server.fleet.connected_ids() == ["b-1"]


@each_javascript
async def test_heartbeats_buffered_where_tokens_are_required_end_nothing(
    clients: Clients, library: str, transports: Transports
) -> None:
    port = lasting()
    greeting = app_ready("b-1", token="agent-secret")
    one = await clients.begin(library, f"http://127.0.0.1:{port}", transports, greeting=greeting)
    await one.tried_again()
    for _ in range(12):
        await one.emit("heartbeat", {"clientName": "b-1"})
    async with running({**TOKENS, "listen": {"port": port}}) as here:
        await one.message("app_ready_ack")
        await one.settled()
        assert not one.has("disconnect")
        assert here.server.fleet.connected_ids() == ["b-1"]
