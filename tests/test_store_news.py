import pytest

from dscore.store.news import News


def news(*rows: tuple[str, int, int | None]) -> News:
    made = News()
    for row in rows:
        made.add(*row)
    return made


def test_news_come_as_they_were_said() -> None:
    rows = [("a", 5, 4), ("b", 6, None), ("a", 7, None)]
    assert list(news(*rows)) == rows
    assert len(news(*rows)) == 3


def test_nothing_counts_that_was_said_before_an_agent_was_forgotten() -> None:
    made = news(("a", 5, 4), ("b", 6, 6))
    made.forget("a")
    assert list(made) == [("b", 6, 6)]
    made.add("a", 8, None)
    assert list(made) == [("b", 6, 6), ("a", 8, None)]


def test_absorbed_news_leave_the_last_word_on_each() -> None:
    made = news(("a", 5, 4), ("b", 6, 6))
    made.absorb(news(("a", 7, 7), ("b", 7, None), ("c", 8, None)))
    assert sorted(made) == [("a", 7, 7), ("b", 7, 6), ("c", 8, None)]
    assert len(made) == 3


def test_what_was_forgotten_later_is_gone() -> None:
    made, newer = news(("a", 5, 4), ("b", 6, 6)), news(("b", 7, 7))
    newer.forget("a")
    newer.forget("b")
    newer.add("b", 9, None)
    made.absorb(newer)
    assert list(made) == [("b", 9, None)]


def test_what_was_forgotten_stays_so_when_the_news_were_made_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dscore.store.news.ROOM", 2)
    made, newer = news(("a", 5, 4)), News()
    newer.forget("a")
    for moment in range(6, 10):
        newer.add("b", moment, None)
    made.absorb(newer)
    assert list(made) == [("b", 9, None)]


def test_news_without_a_reader_grow_no_larger_than_twice_the_fleet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dscore.store.news.ROOM", 8)
    made = News()
    for moment in range(1_000):
        made.add(f"cam-{moment % 10}", moment, moment)
        assert len(made) < 21
    made.forget("cam-3")
    for moment in range(1_000, 1_100):
        made.add(f"cam-{moment % 2}", moment, None)
    last = {agent_id: seen_at for agent_id, seen_at, _ in made}
    assert last == {"cam-0": 1098, "cam-1": 1099} | {
        f"cam-{n}": 990 + n for n in (2, *range(4, 10))
    }
