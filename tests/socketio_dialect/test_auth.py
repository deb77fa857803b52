"""Tokens of real clients: in the auth payload of the CONNECT, or in app_ready for major 2."""

import pytest

from protocol.support import running
from socketio_clients import NEWEST, Clients, app_ready
from socketio_dialect.cable import cable_to
from socketio_dialect.support import (
    KINDS,
    TOKENS,
    Transports,
    base,
    cut_off,
    each_client,
    ended,
    is_connected,
    merged,
    one_of_each,
    stays_away,
)
from wire import agent

GOOD = {"token": "agent-secret"}
WITH_PAYLOAD = [kind for kind in KINDS if kind.values[0] != "js-2"]
with_payload = pytest.mark.parametrize(("library", "transports"), WITH_PAYLOAD)


@with_payload
async def test_a_token_in_the_payload_lets_a_heartbeat_introduce(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(TOKENS) as here, cable_to(here.port) as cable:
        one = await clients.introduce(library, cable.url, transports, auth=GOOD)
        assert await is_connected(here, "b-1")
        # And again, when the library comes back by itself.
        await cut_off(one, cable)
        await one.connected()
        await one.message("heartbeat_response")


@with_payload
async def test_a_token_in_the_payload_is_enough_for_app_ready(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(TOKENS) as here:
        greeting = app_ready("a-1")
        await clients.introduce(library, base(here), transports, auth=GOOD, greeting=greeting)
        assert await is_connected(here, "a-1")


@each_client
async def test_a_token_in_app_ready(clients: Clients, library: str, transports: Transports) -> None:
    async with running(TOKENS) as here:
        greeting = app_ready("a-1", **GOOD)
        await clients.introduce(library, base(here), transports, greeting=greeting)
        assert await is_connected(here, "a-1")


# Which token it is makes no difference to what the library does then.
@pytest.mark.parametrize(
    ("token", "library", "transports"),
    [
        *(pytest.param("wrong", *kind.values, id=f"wrong-{kind.id}") for kind in WITH_PAYLOAD),
        pytest.param("operator-secret", NEWEST, ["websocket"], id="operator-secret"),
        pytest.param("", NEWEST, ["websocket"], id="empty"),
    ],
)
async def test_a_wrong_token_in_the_payload_sends_it_away(
    clients: Clients, library: str, transports: Transports, token: str
) -> None:
    async with running(TOKENS) as here, cable_to(here.port) as cable:
        witness = await clients.introduce(library, cable.url, transports, name="witness", auth=GOOD)
        one = await clients.begin(library, cable.url, transports, auth={"token": token})
        await one.connected()
        # An upgrade that has begun is cut short by this, so no code is due there.
        await ended(one, 1008, cable if transports == ["websocket"] else None)
        await stays_away(here, one, witness, cable)
        assert here.server.fleet.agent("b-1") is None


@each_client
async def test_a_wrong_token_in_app_ready_sends_it_away(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(TOKENS) as here, cable_to(here.port) as cable:
        good = app_ready("witness", **GOOD)
        witness = await clients.introduce(
            library, cable.url, transports, name="witness", greeting=good
        )
        one = await clients.connect(library, cable.url, transports, greeting=[])
        await one.emit("app_ready", {"instance_id": "a-1", "token": "wrong"})
        await ended(one, 1008, cable)
        await stays_away(here, one, witness, cable)
        assert here.server.fleet.agent("a-1") is None


@each_client
async def test_without_a_token_a_heartbeat_is_no_introduction(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(TOKENS) as here:
        one = await clients.connect(library, base(here), transports)
        error = await one.message("error")
        assert (error["code"], error["request_type"]) == ("not_introduced", "heartbeat")
        assert here.server.fleet.agent("b-1") is None
        await one.emit("app_ready", {"instance_id": "b-1", **GOOD})
        await one.message("app_ready_ack")


async def test_where_a_token_is_required_there_is_a_deadline(clients: Clients) -> None:
    # Time enough for all of them to be connected, and upgraded.
    quick = {"auth": {**TOKENS["auth"], "timeout": 2}}
    async with running(quick) as here, cable_to(here.port) as cable:
        everyone = await one_of_each(clients, cable.url, introduced=False)
        for one in everyone:
            await ended(one, 1008, for_good=False)
        await cable.brings_close(1008, count=sum(one.transport == "websocket" for one in everyone))


@each_client
async def test_watching_needs_the_operators_token(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(TOKENS) as here:
        page = await clients.connect(library, base(here), transports, name="page", greeting=[])
        await page.emit("watch", {})
        error = await page.message("error")
        assert (error["code"], error["request_type"]) == ("forbidden", "watch")
        assert await page.call("watch", {"token": "operator-secret"}) == []
        async with agent(here.ws, "a-1", **GOOD):
            assert (await page.message("client_status_changed"))["id"] == "a-1"


@with_payload
async def test_an_operators_token_in_the_payload(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(TOKENS) as here:
        page = await clients.connect(
            library,
            base(here),
            transports,
            name="page",
            greeting=[],
            auth={"token": "operator-secret"},
        )
        assert await page.call("watch", {}) == []
        async with agent(here.ws, "a-1", **GOOD):
            assert (await page.message("client_status_changed"))["id"] == "a-1"


@each_client
async def test_watch_on_connect_needs_the_operators_token_too(
    clients: Clients, library: str, transports: Transports
) -> None:
    settings = merged(TOKENS, {"socketio": {"watch_on_connect": True}})
    async with running(settings) as here:
        page = await clients.connect(library, base(here), transports, name="page", greeting=[])
        async with agent(here.ws, "a-1", **GOOD):
            assert await page.call("client_status_request", {"clientName": "a-1"}) == []
            await page.message("server_status_response")
        assert page.heard("client_status_changed") == []
        assert page.heard("error") == []
