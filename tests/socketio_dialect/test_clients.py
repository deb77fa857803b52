"""Real clients, unchanged: how they connect, introduce themselves and talk (PROTOCOL.md §1-§3)."""

import asyncio

import pytest

from protocol.support import ISO_UTC, eventually, introduced, running
from socketio_clients import JAVASCRIPT, LIBRARIES, Clients, app_ready
from socketio_dialect.cable import cable_to
from socketio_dialect.support import (
    Echo,
    Transports,
    all_connected,
    base,
    ends_as,
    every_kind,
    every_library,
    is_connected,
    one_of_each,
)

CHECKED = {
    "monitoring": {
        "connection_check_interval": 0.3,
        "max_missed_heartbeats": 5,
        "heartbeat_grace_period": 0,
    }
}


@every_kind
async def test_a_heartbeat_introduces(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.connect(library, base(here), transports)
        answer = await one.message("heartbeat_response")
        assert ISO_UTC.fullmatch(answer.pop("timestamp"))
        assert answer == {
            "status": "ok",
            "message": "heartbeat received",
            "nextHeartbeatIn": 30_000,
        }
        assert one.transport == ends_as(transports)
        _, document = await here.health()
        assert document["connected_instances"] == ["b-1"]
        assert document["websocket"]["authenticated_connections"] == 1
        assert document["websocket"]["unauthenticated_connections"] == 0
        [listed] = (await here.pages.get("/api/v1/agents")).json()["items"]
        assert (listed["id"], listed["status"], listed["dialect"]) == ("b-1", "online", "socketio")
        assert (listed["connected"], listed["ip"]) == (True, "127.0.0.1")


@every_kind
async def test_app_ready_introduces(clients: Clients, library: str, transports: Transports) -> None:
    async with running() as here:
        greeting = app_ready("a-1", config={"sources": 4})
        one = await clients.connect(library, base(here), transports, greeting=greeting)
        assert await one.message("app_ready_ack") == {
            "status": "ok",
            "session_restored": False,
            "server_status": "running",
            "nextHeartbeatIn": 30_000,
        }
        details = await here.details("a-1")
        assert (details["dialect"], details["config"]) == ("socketio", {"sources": 4})


async def test_a_connection_check_can_be_answered(clients: Clients) -> None:
    async with running(CHECKED) as here:
        everyone = await one_of_each(clients, base(here))
        # Five that go unanswered would be one too many.
        for _ in range(7):
            for one in everyone:
                check = await one.message("connection_check")
                assert ISO_UTC.fullmatch(check.pop("timestamp"))
                assert check == {"client_name": one.name, "expect_response_within": 30_000}
                await one.emit("connection_check_response", {"client_name": one.name})
        for one in everyone:
            assert (await here.details(one.name))["status"] == "online"


@every_kind
async def test_any_text_goes_both_ways(
    clients: Clients, library: str, transports: Transports
) -> None:
    # Of one, two, three and four bytes in UTF-8, one and two units in UTF-16: lengths are counted
    # in three different ways by the three protocols.
    text = 'a"\\\n\x00é사람🚨\u2028 %s 0{}[]'
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["note"])
        await one.emit("note", {"text": text, text: [None, True, -1.5, {"deep": [[]]}]})
        expected = {"text": text, text: [None, True, -1.5, {"deep": [[]]}]}
        assert await one.message("note") == expected
        assert policy.heard == [{"type": "note", **expected}]


@every_kind
async def test_many_messages_at_once_stay_in_order(
    clients: Clients, library: str, transports: Transports
) -> None:
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), transports, listen=["note"])
        for n in range(300):
            await one.emit("note", {"n": n, "text": "사" * (n % 7)})
        assert [(await one.message("note"))["n"] for _ in range(300)] == list(range(300))
        assert [message["n"] for message in policy.heard] == list(range(300))


@every_kind
async def test_many_messages_for_it_at_once_all_arrive(
    clients: Clients, library: str, transports: Transports
) -> None:
    """python-socketio takes 16 packets a poll, and gives up a connection that brings more."""
    async with running() as here:
        one = await clients.introduce(library, base(here), transports, listen=["note"])
        known = here.server.fleet.agent("b-1")
        assert known is not None
        for n in range(100):
            known.send({"type": "note", "n": n})
        assert [(await one.message("note"))["n"] for _ in range(100)] == list(range(100))
        assert not one.has("disconnect")


async def test_pings_keep_them_alive(clients: Clients) -> None:
    pings = {"socket": {"ping_interval": 0.3, "ping_timeout": 2}}
    async with running(pings) as here:
        everyone = await one_of_each(clients, base(here))
        # One that answers no ping shows that the time is over.
        async with introduced(here.ws, "mute") as mute:
            assert await mute.closed() == (1011, "ping timeout")
        for one in everyone:
            await one.emit("heartbeat", {"clientName": one.name})
            await one.message("heartbeat_response")
            assert not one.has("disconnect")


@every_library
async def test_messages_go_on_during_an_upgrade(clients: Clients, library: str) -> None:
    """Nothing is lost and nothing overtaken while the transport changes."""
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.begin(library, base(here), listen=["note"])
        await one.connected()
        await one.message("heartbeat_response")
        for n in range(200):
            await one.emit("note", {"n": n})
            if n % 20 == 0:
                await asyncio.sleep(0)
        assert [(await one.message("note"))["n"] for _ in range(200)] == list(range(200))
        await one.upgraded()
        await one.emit("note", {"n": 200})
        assert (await one.message("note"))["n"] == 200


@pytest.mark.parametrize("library", JAVASCRIPT)
async def test_an_upgrade_that_hangs_leaves_polling_at_work(clients: Clients, library: str) -> None:
    """With the WebSocket open but silent, poll after poll is answered, and in the end the upgrade
    is made."""
    policy = Echo()
    async with running(policy=policy) as here, cable_to(here.port) as cable:
        cable.hold_upgrades(after=1)
        one = await clients.begin(library, cable.url, listen=["note"])
        await one.message("heartbeat_response")
        for n in range(5):
            await one.emit("note", {"n": n})
            assert await one.message("note") == {"n": n}
        assert one.transport == "polling"
        cable.release()
        await one.upgraded()
        await one.emit("note", {"n": 5})
        assert await one.message("note") == {"n": 5}


@every_kind
async def test_an_operators_message_is_an_event(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), transports, listen=["take_snapshot"])
        body = {"type": "take_snapshot", "quality": 80}
        answer = await here.pages.post("/api/v1/agents/b-1/message", json=body)
        assert (answer.status_code, answer.json()) == (202, {"delivered": True})
        assert await one.message("take_snapshot") == {"quality": 80}


@every_kind
async def test_client_status_request_is_answered(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), transports)
        await one.emit("client_status_request", {"clientName": "b-1"})
        answer = await one.message("server_status_response")
        assert (answer["serverStatus"], answer["clientStatus"]) == ("online", "online")


@every_kind
async def test_it_leaves_when_it_wants(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), transports)
        await one.disconnect()

        async def gone() -> bool:
            return not await is_connected(here, "b-1")

        await eventually(gone)
        assert (await here.details("b-1"))["state"] == "reconnecting"
        _, document = await here.health()
        assert document["websocket"]["total_connections"] == 0


@every_library
async def test_an_event_without_an_argument_is_an_empty_object(
    clients: Clients, library: str
) -> None:
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), listen=["note"])
        await one.emit("note")
        assert await one.message("note") == {}
        assert policy.heard == [{"type": "note"}]


@every_library
async def test_the_name_of_an_event_wins_over_a_type_in_its_object(
    clients: Clients, library: str
) -> None:
    policy = Echo()
    async with running(policy=policy) as here:
        one = await clients.introduce(library, base(here), listen=["note"])
        await one.emit("note", {"type": "terminate_app", "n": 1})
        assert await one.message("note") == {"n": 1}
        assert [(heard["type"], heard["n"]) for heard in policy.heard] == [("note", 1)]


@every_library
@pytest.mark.parametrize(
    "args", [("text",), (5,), (None,), ([],), ({}, {})], ids=lambda args: repr(args)
)
async def test_an_event_of_anything_but_one_object_is_refused(
    clients: Clients, library: str, args: tuple[object, ...]
) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), ["websocket"])
        await one.emit("note", *args)
        error = await one.message("error")
        assert error["code"] == "bad_json"
        await one.emit("heartbeat", {"clientName": "b-1"})
        await one.message("heartbeat_response")


@every_kind
async def test_a_refused_message_is_answered_and_it_lives_on(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), transports)
        await one.emit("heartbeat", {"clientName": "b-2"})
        error = await one.message("error")
        assert (error["code"], error["request_type"]) == ("wrong_id", "heartbeat")
        await one.emit("heartbeat", {"clientName": "b-1"})
        await one.message("heartbeat_response")


@every_library
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_namespace_that_is_not_served_is_refused(
    clients: Clients, library: str, transport: str
) -> None:
    async with running() as here:
        one = await clients.begin(library, base(here), [transport], namespace="/admin", greeting=[])
        assert await one.refused() == "Invalid namespace"


@every_library
async def test_twenty_of_each_at_once(clients: Clients, library: str) -> None:
    names = [f"{library}-{n}" for n in range(20)]
    async with running() as here:
        all_of_them = await asyncio.gather(
            *(clients.introduce(library, base(here), name=name) for name in names)
        )
        await all_connected(here, names)
        for one in all_of_them:
            await one.emit("heartbeat", {"clientName": one.name})
        for one in all_of_them:
            await one.message("heartbeat_response")
        _, document = await here.health()
        assert document["websocket"]["total_connections"] == 20


async def test_twenty_of_every_library_at_once_are_drained(clients: Clients) -> None:
    async with running() as here:
        all_of_them = await asyncio.gather(
            *(
                clients.introduce(
                    library, base(here), name=f"{library}-{n}", greeting=app_ready(f"{library}-{n}")
                )
                for library in LIBRARIES
                for n in range(20)
            )
        )
        drain = asyncio.create_task(here.server.drain())
        orders = [await one.message("terminate_app") for one in all_of_them]
        assert len({order["request_id"] for order in orders}) == 80
        for one, order in zip(all_of_them, orders, strict=True):
            await one.emit("app_terminated", {"request_id": order["request_id"], "status": "OK"})
        for one in all_of_them:
            assert (await one.disconnected()).for_good
        report = await drain
        assert (report.total, report.acked, report.exit_code) == (80, 80, 0)
