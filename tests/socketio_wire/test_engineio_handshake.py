"""How an Engine.IO session begins, and every way it does not."""

import json
from typing import Any

import pytest

from dscore import core
from socketio_wire.support import SERVERS, engineio, fetch, socketio, split_payload, web

TRANSPORT_UNKNOWN, SID_UNKNOWN, BAD_METHOD, BAD_REQUEST, _, BAD_VERSION = range(6)
FIELDS = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"


def check(opened: dict[str, Any], *, upgrades: list[str]) -> None:
    assert set(opened) == FIELDS
    assert isinstance(opened["sid"], str)
    assert opened["upgrades"] == upgrades
    assert (opened["pingInterval"], opened["pingTimeout"]) == (300, 200)
    assert opened["maxPayload"] == 1_000_000


@pytest.mark.parametrize("server", [engineio, socketio])
@pytest.mark.parametrize("eio", [3, 4])
async def test_polling_is_told_the_terms_and_that_it_may_upgrade(server: Any, eio: int) -> None:
    async with server(ping_interval=300, ping_timeout=200) as here:
        check((await here.open(eio)).opened, upgrades=["websocket"])


@pytest.mark.parametrize("server", [engineio, socketio])
@pytest.mark.parametrize("eio", [3, 4])
async def test_websocket_is_told_the_terms_and_has_nowhere_to_go(server: Any, eio: int) -> None:
    async with server(ping_interval=300, ping_timeout=200) as here, here.socket(eio) as one:
        check(one.opened, upgrades=[])


async def test_the_open_packet_comes_as_text_that_no_cache_keeps() -> None:
    async with engineio() as here:
        answer = await fetch(here.port, "GET", f"{here.path}?{POLLING}&t=Kx1")
        assert answer.headers["content-type"].lower() == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers


async def test_a_session_is_told_of_once_and_ends_once() -> None:
    async with engineio() as here:
        session = await here.open()
        opened = await here.event(core.Opened)
        assert (opened.endpoint, opened.path) == ("plain-engineio", here.path)
        assert (opened.transport, opened.peer) == ("polling", "127.0.0.1")
        await session.say("1")
        assert (await here.event(core.Closed)).conn == opened.conn
        async with here.socket():
            assert (await here.event(core.Opened)).transport == "websocket"
        await here.event(core.Closed)


async def test_sids_are_long_and_never_the_same() -> None:
    async with engineio() as here:
        sids = {(await here.open()).sid for _ in range(200)}
    assert len(sids) == 200
    assert min(map(len, sids)) >= 20
    # One sid tells nothing of the next: they share no long beginning or end.
    assert len({sid[:8] for sid in sids}) > 190
    assert len({sid[-8:] for sid in sids}) > 190


@pytest.mark.parametrize("server", [engineio, socketio])
@pytest.mark.parametrize("eio", ["", "&EIO=abc", "&EIO=", "&EIO=2", "&EIO=5", "&EIO=44", "&eio=4"])
async def test_a_wrong_or_missing_eio_is_refused(server: Any, eio: str) -> None:
    async with server() as here:
        answer = await fetch(here.port, "GET", f"{here.path}?transport=polling{eio}")
        assert (answer.status, answer.code) == (400, BAD_VERSION)
        assert await here.refused(f"transport=websocket{eio}") == 400


@pytest.mark.parametrize("server", [engineio, socketio])
@pytest.mark.parametrize(
    "transport", ["", "&transport=abc", "&transport=", "&transport=Polling", "&transport=pollingx"]
)
async def test_a_wrong_or_missing_transport_is_refused(server: Any, transport: str) -> None:
    async with server() as here:
        answer = await fetch(here.port, "GET", f"{here.path}?EIO=4{transport}")
        assert (answer.status, answer.code) == (400, TRANSPORT_UNKNOWN)
        assert await here.refused(f"EIO=4{transport}") == 400


@pytest.mark.parametrize("server", [engineio, socketio])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_session_begins_with_a_get(server: Any, method: str) -> None:
    async with server() as here:
        target = f"{here.path}?{POLLING}"
        answer = await fetch(here.port, method, target, body=b"")
        assert (answer.status, answer.code) == (400, BAD_METHOD)
        answer = await fetch(here.port, method, f"{here.path}?EIO=4&transport=x", body=b"")
        assert answer.code == TRANSPORT_UNKNOWN
        assert here.gauge("connections") == 0


async def test_a_head_opens_nothing() -> None:
    async with engineio() as here, web(here.port) as one:
        assert (await one.fetch("HEAD", f"{here.path}?{POLLING}")).status == 400
        # Nothing but a head came, or this answer would be read out of step.
        assert (await one.fetch("GET", f"{here.path}?{POLLING}")).status == 200


async def test_a_websocket_session_begins_with_an_upgrade() -> None:
    async with engineio() as here:
        answer = await fetch(here.port, "GET", f"{here.path}?{WEBSOCKET}")
        assert (answer.status, answer.code) == (400, BAD_REQUEST)


async def test_eio3_can_be_turned_off() -> None:
    async with engineio(allow_eio3=False) as here:
        answer = await fetch(here.port, "GET", f"{here.path}?EIO=3&transport=polling")
        assert (answer.status, answer.code) == (400, BAD_VERSION)
        assert await here.refused("EIO=3&transport=websocket") in (101, 400)
        await here.open(eio=4)


async def test_jsonp_is_left_out_and_says_so() -> None:
    async with engineio() as here:
        for eio in (3, 4):
            target = f"{here.path}?EIO={eio}&transport=polling&j=0"
            answer = await fetch(here.port, "GET", target)
            assert (answer.status, answer.code) == (400, BAD_REQUEST)


async def test_polling_alone_offers_no_upgrade_and_takes_none() -> None:
    async with engineio(transports=["polling"]) as here:
        session = await here.open()
        assert session.opened["upgrades"] == []
        assert await here.refused(WEBSOCKET) == 400
        assert await here.refused(f"{WEBSOCKET}&sid={session.sid}") == 400
        await session.say("4hello")
        assert await session.packets() == ["4hello"]


async def test_websocket_alone_refuses_polling() -> None:
    async with engineio(transports=["websocket"]) as here:
        answer = await fetch(here.port, "GET", f"{here.path}?{POLLING}")
        assert (answer.status, answer.code) == (400, TRANSPORT_UNKNOWN)
        async with here.socket() as one:
            await one.send("4hello")
            assert await one.recv() == "4hello"


STRANGE_SIDS = [
    "x",
    "0",
    "-1",
    "null",
    "__proto__",
    "%00",
    "%2e%2e%2f",
    "%",
    "%zz",
    "%ed%95%9c",
    "AAAAAAAAAAAAAAAAAAAA",
    "18446744073709551616",
    "x" * 8000,
]


@pytest.mark.parametrize("sid", STRANGE_SIDS, ids=lambda sid: sid[:20])
async def test_an_unknown_sid_is_refused_whatever_it_looks_like(sid: str) -> None:
    async with engineio() as here:
        session = await here.open()
        for method, body in (("GET", None), ("POST", "4hello")):
            target = f"{here.path}?{POLLING}&sid={sid}"
            answer = await fetch(here.port, method, target, body=body)
            assert (answer.status, answer.code) == (400, SID_UNKNOWN)
        assert await here.refused(f"{WEBSOCKET}&sid={sid}") == 400
        await session.say("4still here")
        assert await session.packets() == ["4still here"]


async def test_a_sid_is_exact() -> None:
    async with engineio() as here:
        session = await here.open()
        for sid in (session.sid[:-1], f"{session.sid}x", session.sid.swapcase()):
            answer = await fetch(here.port, "GET", f"{here.path}?{POLLING}&sid={sid}")
            assert answer.code == SID_UNKNOWN, sid
        # An empty one is none at all: a handshake.
        answer = await fetch(here.port, "GET", f"{here.path}?{POLLING}&sid=")
        assert json.loads(answer.text[1:])["sid"] != session.sid


async def test_a_sid_of_a_websocket_session_is_no_use_to_polling() -> None:
    async with engineio() as here, here.socket() as one:
        sid = one.opened["sid"]
        answer = await fetch(here.port, "GET", f"{here.path}?{POLLING}&sid={sid}")
        assert (answer.status, answer.code) == (400, BAD_REQUEST)
        answer = await fetch(here.port, "POST", f"{here.path}?{POLLING}&sid={sid}", body="1")
        assert (answer.status, answer.code) == (400, BAD_REQUEST)
        await one.send("4hello")
        assert await one.recv() == "4hello"


async def test_a_sid_goes_with_the_transport_and_revision_it_began_with() -> None:
    async with engineio() as here:
        session = await here.open(eio=4)
        for query in ("EIO=3&transport=polling", "EIO=4&transport=websocket"):
            target = f"{here.path}?{query}&sid={session.sid}"
            answer = await fetch(here.port, "GET", target)
            assert (answer.status, answer.code) == (400, BAD_REQUEST), query
        assert await here.refused(f"EIO=3&transport=websocket&sid={session.sid}") == 400
        await session.say("4hello")
        assert await session.packets() == ["4hello"]


async def test_a_sid_of_another_endpoint_is_unknown_here() -> None:
    endpoints = {"/engine.io/": "plain-engineio", "/other/": "plain-socketio"}
    async with engineio(endpoints=endpoints) as here:
        _ = here.pool
        session = await here.open()
        answer = await fetch(here.port, "GET", f"/other/?{POLLING}&sid={session.sid}")
        assert answer.status == 400
        await session.say("4hello")
        assert await session.packets() == ["4hello"]


@pytest.mark.parametrize("path", ["/socket.io/", "/engine.io/x", "/engine.io//", "/"])
async def test_what_is_no_endpoint_is_left_to_python(path: str) -> None:
    async with engineio() as here, web(here.port) as one:
        pool = here.pool
        await one.ask("GET", f"{path}?{POLLING}")
        request = await here.event(core.HttpRequest)
        pool.respond(request.conn, 404, [], b"")
        assert (await one.answer()).status == 404


async def test_unknown_parameters_are_passed_over_and_order_is_free() -> None:
    async with engineio() as here:
        target = f"{here.path}?t=N8hyd6w&transport=polling&x&&=&EIO=4&%65=1"
        answer = await fetch(here.port, "GET", target)
        opened = json.loads(split_payload(answer.text, 4)[0][1:])
        target = f"{here.path}?sid={opened['sid']}&t=N8hyd7H.0&EIO=4&transport=polling"
        assert (await fetch(here.port, "POST", target, body="4hello")).text == "ok"
        assert (await fetch(here.port, "GET", target)).text == "4hello"


def test_both_suites_servers_have_the_suites_terms() -> None:
    for _, settings in SERVERS.values():
        assert (settings["ping_interval"], settings["ping_timeout"]) == (300, 200)
