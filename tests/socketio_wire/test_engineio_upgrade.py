"""From polling to WebSocket: nothing is lost, doubled or put out of order, and nothing leaks."""

import asyncio

import pytest

from dscore import core
from socketio_wire.support import SEPARATOR, Session, engineio, socketio, websocket

SID_UNKNOWN, BAD_REQUEST = 1, 3
NOOP = ("6", "1:6")


@pytest.mark.parametrize("eio", [3, 4])
async def test_a_session_goes_over_and_keeps_its_number(eio: int) -> None:
    async with engineio() as here:
        session = await here.open(eio)
        async with here.upgraded(session) as one:
            await one.send("4hello")
            assert await one.recv() == "4hello"
        await here.event(core.Closed)
        conns = {event.conn for event in here.events}
        assert len(conns) == 1
        assert sum(isinstance(event, core.Opened) for event in here.events) == 1


async def test_upgrade_and_first_message_may_come_together() -> None:
    async with engineio() as here:
        session = await here.open()
        async with here.probing(session) as one:
            await one.send("5", "4a", b"\x01", "4b")
            assert await one.collect(3) == ["4a", b"\x01", "4b"]


@pytest.mark.parametrize("eio", [3, 4])
async def test_a_waiting_poll_is_let_go_with_a_noop(eio: int) -> None:
    async with engineio() as here:
        session = await here.open(eio)
        async with session.waiting() as poll, here.probing(session) as one:
            answer = await poll.answer()
            assert (answer.status, answer.text) == (200, NOOP[eio == 3])
            await one.send("5", "4hello")
            assert await one.recv() == "4hello"


async def test_every_poll_during_the_upgrade_is_let_go_with_a_noop() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting() as poll, here.probing(session) as one:
            assert (await poll.answer()).text == "6"
            # The client may have sent its next poll before it heard of the probe's answer.
            for _ in range(5):
                assert await session.packets() == ["6"]
            await one.send("5", "4hello")
            assert await one.recv() == "4hello"


async def test_a_poll_that_comes_after_the_probe_is_let_go_with_a_noop() -> None:
    async with engineio() as here:
        session = await here.open()
        async with here.probing(session):
            assert await session.packets() == ["6"]


async def test_a_poll_that_waits_at_the_very_upgrade_is_let_go() -> None:
    async with engineio() as here:
        for _ in range(20):
            session = await here.open()
            async with here.probing(session) as one:
                poll = asyncio.create_task(session.poll())
                await one.send("5", "4hello")
                answer = await poll
                assert answer.status == 400 or answer.text == "6"
                assert await one.recv() == "4hello"


@pytest.mark.parametrize("server", [engineio, socketio])
async def test_polling_is_over_once_a_session_has_gone_over(server: object) -> None:
    async with server() as here:  # type: ignore[operator]
        session: Session = await here.open()
        async with here.upgraded(session) as one:
            answer = await session.poll()
            assert (answer.status, answer.code) == (400, BAD_REQUEST)
            answer = await session.post("4hello")
            assert (answer.status, answer.code) == (400, BAD_REQUEST)
            await (await one.socket.ping())


@pytest.mark.parametrize("server", [engineio, socketio])
async def test_a_second_websocket_of_a_session_is_closed(server: object) -> None:
    async with server() as here:  # type: ignore[operator]
        session: Session = await here.open()
        query = f"EIO=4&transport=websocket&sid={session.sid}"
        async with here.upgraded(session) as one:
            assert await here.refused(query) in (101, 400)
            await (await one.socket.ping())


async def test_a_second_websocket_during_the_probe_does_not_disturb_the_first() -> None:
    async with engineio() as here:
        session = await here.open()
        async with here.probing(session) as one:
            assert await here.refused(f"EIO=4&transport=websocket&sid={session.sid}") in (101, 400)
            await one.send("5", "4hello")
            assert await one.recv() == "4hello"


async def test_the_sid_of_a_session_that_has_ended_is_unknown() -> None:
    async with engineio() as here:
        session = await here.open()
        await session.say("1")
        assert await here.refused(f"EIO=4&transport=websocket&sid={session.sid}") == 400


async def test_messages_posted_during_the_probe_stay_in_order() -> None:
    async with engineio() as here:
        session = await here.open()
        async with here.probing(session) as one:
            await session.say("4first")
            came = await session.packets()
            await session.say("4second")
            await one.send("5", "4third")
            wanted = 3 - came.count("4first")
            rest = await one.collect(wanted)
            assert [*(packet for packet in came if packet != "6"), *rest] == [
                "4first",
                "4second",
                "4third",
            ]


async def test_messages_of_the_server_come_once_each_in_order_across_the_upgrade() -> None:
    async with engineio() as here:
        for round_ in range(10):
            session = await here.open()
            conn = (await here.event(core.Opened)).conn
            came: list[str | bytes] = []
            sent = [f"4{number}" for number in range(60)]

            def tell(start: int, conn: int = conn) -> None:
                for number in range(start, start + 10):
                    here.pool.send(conn, b"%d" % number)

            tell(0)
            came += await session.collect(10)
            tell(10)
            async with here.probing(session) as one:
                tell(20)
                if round_ % 2:
                    came += [packet for packet in await session.packets() if packet != "6"]
                tell(30)
                await one.send("5")
                tell(40)
                await one.send("4mark")
                tell(50)
                rest = await one.collect(61 - len(came))
            came += [packet for packet in rest if packet != "4mark"]
            assert came == sent


async def test_messages_that_waited_for_a_poll_come_over_the_websocket() -> None:
    async with engineio() as here:
        session = await here.open()
        await session.say("4one", "bAQI=", "4two")
        async with here.upgraded(session) as one:
            assert await one.collect(3) == ["4one", b"\x01\x02", "4two"]


async def test_a_ping_that_was_due_during_the_upgrade_comes() -> None:
    async with engineio(ping_interval=150, ping_timeout=2000) as here:
        session = await here.open()
        async with here.upgraded(session) as one:
            for _ in range(3):
                assert await one.recv() == "2"
                await one.send("3")


@pytest.mark.parametrize(
    "packets",
    [["3probe"], ["4hello"], ["2"], ["2other"], ["abc"], [""], [b"\x05"], ["1"]],
    ids=str,
)
async def test_a_wrong_word_on_a_probe_ends_that_websocket_alone(
    packets: list[str | bytes],
) -> None:
    async with engineio() as here:
        session = await here.open()
        query = f"EIO=4&transport=websocket&sid={session.sid}"
        async with websocket(here.port, here.path, query) as one:
            await one.send(*packets)
            await one.closed()
        await session.say("4still here")
        assert await session.collect(1) == ["4still here"]


async def test_an_upgrade_that_is_cut_leaves_the_session_to_polling() -> None:
    async with engineio() as here:
        session = await here.open()
        for _ in range(3):
            async with here.probing(session) as one:
                one.socket.transport.abort()
            await session.say("4still here")
            came: list[str] = []
            while came != ["4still here"]:
                came = [packet for packet in await session.packets() if packet != "6"]
        # And it may still go over.
        async with here.upgraded(session) as one:
            await one.send("4there")
            assert await one.recv() == "4there"


async def test_an_upgrade_that_never_completes_is_let_go_and_nothing_leaks() -> None:
    terms = {"ping_interval": 300, "ping_timeout": 200, "handshake_timeout": 200}
    async with engineio(**terms) as here:
        session = await here.open()
        async with here.probing(session) as probed:
            await probed.closed()
        query = f"EIO=4&transport=websocket&sid={session.sid}"
        async with websocket(here.port, here.path, query) as mute:
            await mute.closed()
        await here.empty()
        await session.is_gone()


async def test_many_upgrades_left_in_the_middle_leave_nothing() -> None:
    terms = {"ping_interval": 300, "ping_timeout": 2_000, "handshake_timeout": 2_000}
    async with engineio(**terms) as here:

        async def give_up(number: int) -> None:
            session = await here.open()
            async with here.probing(session) as one:
                if number % 3 == 0:
                    one.socket.transport.abort()
                elif number % 3 == 1:
                    await one.closed()

        await asyncio.gather(*map(give_up, range(60)))
        await here.empty()


async def test_the_end_of_a_session_in_the_middle_of_its_upgrade_ends_both() -> None:
    async with engineio() as here:
        session = await here.open()
        async with here.probing(session) as one:
            await session.say("1")
            await one.closed()
        await session.is_gone()
        await here.empty()


async def test_a_close_by_the_server_in_the_middle_of_an_upgrade_ends_both() -> None:
    async with engineio() as here:
        session = await here.open()
        conn = (await here.event(core.Opened)).conn
        async with session.waiting() as poll, here.probing(session) as one:
            here.pool.close_connection(conn, 1001, "enough")
            assert (await poll.answer()).text in ("6", "1", f"6{SEPARATOR}1")
            await one.closed()
        closed = await here.event(core.Closed)
        assert (closed.conn, closed.code) == (conn, 1001)


async def test_an_upgraded_session_ends_with_its_websocket() -> None:
    async with engineio() as here:
        session = await here.open()
        async with here.upgraded(session) as one:
            await one.send("4hello")
            assert await one.recv() == "4hello"
            one.socket.transport.abort()
            assert (await here.event(core.Closed)).code == 1006
        await session.is_gone()
