"""Several reactors: a session belongs to one of them, whichever its requests arrive at."""

import asyncio
import json
from typing import Any

import pytest

from dscore import core
from socketio_wire.support import Here, Session, engineio, fetch, socketio, web

FOUR = {"reactors": 4}
# The reactor is part of a connection's number; enough of them to have sessions on each.
MANY = 40


async def test_sessions_are_spread_over_the_reactors() -> None:
    async with engineio(**FOUR) as here:
        for _ in range(MANY):
            await here.open()
        conns = [(await here.event(core.Opened)).conn for _ in range(MANY)]
        assert len(set(conns)) == MANY


async def test_every_session_is_served_over_fresh_connections() -> None:
    async with engineio(**FOUR) as here:
        for session in [await here.open() for _ in range(MANY)]:
            for number in range(3):
                await session.say(f"4{number}")
                assert await session.packets() == [f"4{number}"]


async def test_one_kept_connection_serves_sessions_of_all_reactors() -> None:
    async with engineio(**FOUR) as here, web(here.port) as one:
        sessions = [await here.open() for _ in range(MANY)]
        for number in range(3):
            for session in sessions:
                answer = await one.fetch("POST", session.target, body=f"4{number}")
                assert (answer.status, answer.text) == (200, "ok")
            for session in sessions:
                assert (await one.fetch("GET", session.target)).text == f"4{number}"


async def test_requests_for_several_reactors_sent_ahead_are_answered_in_order() -> None:
    async with engineio(**FOUR) as here, web(here.port) as one:
        sessions = [await here.open() for _ in range(MANY)]
        for number, session in enumerate(sessions):
            await one.ask("POST", session.target, body=f"4{number}")
            await one.ask("GET", session.target)
        for number, _ in enumerate(sessions):
            assert (await one.answer()).text == "ok"
            assert (await one.answer()).text == f"4{number}"


async def test_a_body_may_follow_its_head_late() -> None:
    async with engineio(**FOUR) as here:
        for session in [await here.open() for _ in range(MANY)]:
            async with web(here.port) as one:
                await one.ask("POST", session.target, headers={"Content-Length": "6"})
                await one.send(b"4he")
                await session.overtaken()
                await one.send(b"llo")
                assert (await one.answer()).text == "ok"
            assert await session.packets() == ["4hello"]


async def test_the_way_over_works_from_any_reactor() -> None:
    async with engineio(**FOUR) as here:
        for session in [await here.open() for _ in range(MANY)]:
            async with session.waiting() as poll, here.probing(session) as one:
                assert (await poll.answer()).text == "6"
                await one.send("5", "4a", b"\x01")
                assert await one.collect(2) == ["4a", b"\x01"]
        opened = sum(isinstance(event, core.Opened) for event in here.events)
        assert opened in (0, MANY)


async def test_two_polls_at_once_are_seen_whichever_reactor_they_arrive_at() -> None:
    async with engineio(**FOUR) as here:
        for session in [await here.open() for _ in range(MANY)]:
            first, second = await asyncio.gather(session.poll(), session.poll())
            assert {first.status, second.status} == {200, 400}
            assert (first if first.status == 200 else second).text == "1"
            await session.is_gone()


async def test_a_poll_given_up_is_seen_whichever_reactor_it_arrived_at() -> None:
    async with engineio(**FOUR) as here:
        sessions = [await here.open() for _ in range(MANY)]
        for session in sessions:
            async with session.waiting():
                await session.say("3")
        await here.empty()


async def converse(here: Here, number: int) -> None:
    """A whole life: polling, the way over, an event each, and the end."""
    session: Session = await here.open()
    await session.say("40")
    await session.collect(2)
    await session.say(f'42["message",{number}]')
    assert await session.collect(1) == [f'42["message-back",{number}]']
    async with here.upgraded(session) as one:
        await one.send(f'42["message",{-number}]')
        assert await one.collect(1) == [f'42["message-back",{-number}]']


async def test_many_clients_at_once() -> None:
    async with socketio(**FOUR) as here:
        await asyncio.gather(*(converse(here, number) for number in range(200)))
        await here.empty()


@pytest.mark.parametrize("reactors", [1, 2, 3])
async def test_unknown_sids_are_unknown_to_every_number_of_reactors(reactors: int) -> None:
    async with engineio(reactors=reactors) as here:
        session = await here.open()
        await session.say("1")
        await session.is_gone()
        for position, letter in enumerate(session.sid):
            other = "A" if letter != "A" else "B"
            sid = session.sid[:position] + other + session.sid[position + 1 :]
            target = f"{here.path}?EIO=4&transport=polling&sid={sid}"
            assert (await fetch(here.port, "GET", target)).code == 1


async def test_limits_count_over_all_reactors() -> None:
    async with engineio(**FOUR, max_connections=10) as here:
        answers: list[Any] = await asyncio.gather(
            *(fetch(here.port, "GET", f"{here.path}?EIO=4&transport=polling") for _ in range(30))
        )
        taken = [answer for answer in answers if answer.status == 200]
        assert {answer.status for answer in answers} == {200, 503}
        assert len(taken) <= 10
        assert len({json.loads(answer.text[1:])["sid"] for answer in taken}) == len(taken)
