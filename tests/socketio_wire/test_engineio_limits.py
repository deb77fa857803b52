"""Abandoned sessions, too many of them, and none at all: serving states, limits, leaks."""

import asyncio
from typing import Any

import pytest

from dscore import core
from protocol.support import eventually, tcp
from socketio_wire.support import Here, Session, engineio, fetch, web, websocket

POLLING = "EIO=4&transport=polling"
QUICK = {"ping_interval": 300, "ping_timeout": 200}
DRAINING = (1013, "Server shutting down")
MAINTENANCE = (1013, "Server temporarily unavailable")


async def turned_away(here: Here) -> None:
    """Fails unless a new session over polling is 503, with a time to come back."""
    answer = await fetch(here.port, "GET", f"{here.path}?{POLLING}")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0


async def unburdened(here: Here) -> None:
    """Waits until nothing counts any more but the sessions."""

    async def is_unburdened() -> bool:
        return here.gauge("http_connections") == 0

    await eventually(is_unburdened)


async def works(session: Session) -> None:
    await session.say("4hello")
    assert await session.packets() == ["4hello"]


async def open_many(here: Here, count: int) -> list[str]:
    """So many sessions over a few connections that are kept."""

    async def some(share: int) -> list[str]:
        async with web(here.port) as one:
            answers = [
                await one.fetch("GET", f"{here.path}?{POLLING}") for _ in range(count // share)
            ]
        assert {answer.status for answer in answers} == {200}
        return [answer.text for answer in answers]

    return [text for texts in await asyncio.gather(*map(some, [8] * 8)) for text in texts]


async def test_thousands_of_sessions_left_behind_leave_nothing() -> None:
    async with engineio(reactors=2, ping_interval=1500, ping_timeout=500) as here:
        assert len(set(await open_many(here, 4000))) == 4000
        assert here.gauge("connections") > 0
        await here.empty(seconds=20)
        assert here.gauge("outbox_bytes") == 0
        assert here.gauge("input_bytes") == 0


async def test_sessions_left_with_a_poll_waiting_leave_nothing() -> None:
    async with engineio(reactors=2, **QUICK) as here:

        async def leave() -> None:
            session = await here.open()
            async with web(here.port) as one:
                await one.ask("GET", session.target)

        await asyncio.gather(*(leave() for _ in range(200)))
        await here.empty()


async def test_sessions_left_with_messages_waiting_leave_nothing() -> None:
    async with engineio(**QUICK) as here:
        sessions = [await here.open() for _ in range(20)]
        for session in sessions:
            await session.say("4" + "x" * 10_000)
        await here.empty()
        assert here.gauge("outbox_bytes") == 0
        for session in sessions:
            await session.is_gone()


async def test_connections_kept_after_their_session_are_still_good() -> None:
    async with engineio() as here, web(here.port) as one:
        for _ in range(3):
            answer = await one.fetch("GET", f"{here.path}?{POLLING}")
            assert answer.text[0] == "0"
        session = await here.open()
        await session.say("1")
        assert (await one.fetch("GET", session.target)).status == 400
        assert (await one.fetch("GET", f"{here.path}?{POLLING}")).status == 200


async def test_sessions_over_polling_count_as_connections() -> None:
    async with engineio(max_connections=3) as here:
        sessions = []
        for _ in range(3):
            await unburdened(here)
            sessions.append(await here.open())
        assert here.gauge("connections") == 3
        await turned_away(here)
        async with websocket(here.port, here.path, "EIO=4&transport=websocket") as late:
            assert await late.closed() == 1013
        for session in sessions:
            await works(session)
        # The way over is no new connection.
        async with here.upgraded(sessions[0]) as one:
            await one.send("4hello")
            assert await one.recv() == "4hello"
            await sessions[1].say("1")

            async def has_room() -> bool:
                return here.gauge("connections") == 2

            await eventually(has_room)
            await unburdened(here)
            await works(await here.open())


@pytest.mark.parametrize("serving", ["draining", "maintenance"])
async def test_new_sessions_are_turned_away_and_live_sessions_go_on(serving: Any) -> None:
    async with engineio() as here:
        session = await here.open()
        staying = await here.open()
        here.pool.set_serving_state(serving)

        async def refuses_new_sessions() -> bool:
            answer = await fetch(here.port, "GET", f"{here.path}?{POLLING}")
            return answer.status == 503

        await eventually(refuses_new_sessions)
        await turned_away(here)
        await works(staying)
        async with here.upgraded(session) as one:
            await one.send("4hello")
            assert await one.recv() == "4hello"
        here.pool.set_serving_state("open")

        async def open_again() -> bool:
            return not await refuses_new_sessions()

        await eventually(open_again)


@pytest.mark.parametrize(
    ("serving", "words"), [("draining", DRAINING), ("maintenance", MAINTENANCE)]
)
async def test_a_new_websocket_is_upgraded_and_closed(serving: Any, words: tuple[int, str]) -> None:
    async with engineio() as here:
        here.pool.set_serving_state(serving)

        async def told() -> bool:
            query = "EIO=4&transport=websocket"
            async with websocket(here.port, here.path, query) as one:
                await one.closed()
                assert one.socket.close_reason is not None
                return (one.socket.close_code, one.socket.close_reason) == words

        await eventually(told)


async def test_a_page_that_is_turned_away_may_read_why() -> None:
    async with engineio() as here:
        here.pool.set_serving_state("draining")
        target = f"{here.path}?{POLLING}"

        async def readable() -> bool:
            fields = {"Origin": "https://fleet.example"}
            answer = await fetch(here.port, "GET", target, headers=fields)
            return (answer.status, answer.headers.get("access-control-allow-origin")) == (503, "*")

        await eventually(readable)


async def test_close_all_ends_polling_sessions_too() -> None:
    async with engineio(close_timeout=300) as here:
        polling, idle = await here.open(), await here.open()
        async with polling.waiting() as poll, here.socket() as one:
            here.pool.close_all(1001, "enough")
            assert (await poll.answer()).text == "1"
            assert await one.closed() == 1001
        await here.empty()
        await idle.is_gone()
        codes = [event.code for event in here.events if isinstance(event, core.Closed)]
        assert codes == [1001] * 3


async def test_a_pool_that_closes_lets_its_polls_go() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting() as poll:
            here.pool.close()
            # Cut, or told to come back: but not left hanging.
            assert (await poll.ended()).startswith((b"", b"HTTP/1.1 200"))


async def test_a_body_that_never_ends_is_let_go() -> None:
    async with engineio(keep_alive_timeout=200) as here, web(here.port) as one:
        session = await here.open()
        await one.ask("POST", session.target, headers={"Content-Length": "100"})
        await one.send(b"4he")
        assert (await one.head())[0] == 408
        await session.is_gone()


async def test_a_poll_is_no_idle_connection() -> None:
    async with engineio(keep_alive_timeout=150, handshake_timeout=150) as here:
        session = await here.open()
        async with session.waiting() as poll, tcp(f"http://127.0.0.1:{here.port}") as idle:
            # Whatever ends connections that say nothing has ended this one, and not the poll.
            await idle.ended()
            await session.overtaken()
            await session.say("4hello")
            assert (await poll.answer()).text == "4hello"


async def test_a_head_too_large_or_malformed_hurts_no_session() -> None:
    async with engineio(max_header_size=2048) as here:
        session = await here.open()
        async with web(here.port) as one:
            await one.ask("GET", f"{session.target}&x={'x' * 3000}")
            assert (await one.head())[0] == 431
        await works(session)
