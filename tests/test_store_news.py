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


def test_merged_news_are_the_last_word_on_each() -> None:
    older, newer = news(("a", 5, 4), ("b", 6, 6)), news(("a", 7, 7), ("c", 8, None))
    merged = older.merged(newer)
    assert sorted(merged) == [("a", 7, 7), ("b", 6, 6), ("c", 8, None)]
    assert len(merged) == 3


def test_what_was_forgotten_later_is_not_merged() -> None:
    older, newer = news(("a", 5, 4), ("b", 6, 6)), news(("b", 7, 7))
    newer.forget("a")
    newer.forget("b")
    newer.add("b", 9, None)
    assert list(older.merged(newer)) == [("b", 9, None)]
