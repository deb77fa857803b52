"""Answers to wrong tokens: late, so many at a time, and none after the end."""

import asyncio

import pytest

from dscore.server import wrong_tokens
from dscore.server.wrong_tokens import WrongTokens


async def test_an_answer_comes_late_and_once() -> None:
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    began = loop.time()
    WrongTokens().answer_late(answered.set)
    assert not answered.is_set()
    await asyncio.wait_for(answered.wait(), 10)
    assert loop.time() - began >= wrong_tokens.DELAY / 2


async def test_past_the_bound_answers_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_tokens, "MAX_DELAYED", 2)
    wrong, answers = WrongTokens(), []
    waiting = asyncio.create_task(wrong.delay())
    await asyncio.sleep(0)
    for number in range(3):
        wrong.answer_late(lambda number=number: answers.append(number))
    assert answers == [1, 2]
    await wrong.delay()
    assert not waiting.done()
    await waiting


async def test_nothing_is_answered_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_tokens, "DELAY", 0.05)
    wrong, answers = WrongTokens(), []
    wrong.answer_late(lambda: answers.append(1))
    wrong.close()
    await asyncio.sleep(0.1)
    assert answers == []


async def test_a_client_that_leaves_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_tokens, "MAX_DELAYED", 1)
    wrong, answers = WrongTokens(), []
    waiting = asyncio.create_task(wrong.delay())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    wrong.answer_late(lambda: answers.append(1))
    assert answers == []
    wrong.close()


async def test_each_kind_is_counted_by_itself() -> None:
    wrong = WrongTokens()
    wrong.note("http", "10.0.0.1", path="/")
    wrong.note("watch", "10.0.0.1")
    wrong.note("watch", "10.0.0.1")
    assert wrong.stats() == {
        "wrong_tokens_http_total": 1,
        "wrong_tokens_watch_total": 2,
        "wrong_tokens_app_ready_total": 0,
        "wrong_tokens_connect_total": 0,
    }
