"""Messages on their way to the server."""

from dscore_agent.outbox import Outbox


def taken(outbox: Outbox) -> list[bytes]:
    messages = []
    while (message := outbox.take()) is not None:
        messages.append(message)
    return messages


def test_gives_messages_in_order() -> None:
    outbox = Outbox(3)
    assert outbox.put(b"1", is_control=False)
    assert outbox.put(b"2", is_control=True)
    assert (len(outbox), taken(outbox), len(outbox)) == (2, [b"1", b"2"], 0)


def test_drops_the_oldest_past_its_limit_and_counts_it() -> None:
    outbox = Outbox(2)
    for each in (b"1", b"2", b"3", b"4"):
        assert outbox.put(each, is_control=False)
    assert (outbox.dropped, taken(outbox)) == (2, [b"3", b"4"])


def test_refuses_new_work_but_no_control_message() -> None:
    outbox = Outbox(2)
    outbox.refuse(refusing=True)
    assert not outbox.put(b"work", is_control=False)
    assert outbox.put(b"control", is_control=True)
    outbox.refuse(refusing=False)
    assert outbox.put(b"work", is_control=False)
    assert taken(outbox) == [b"control", b"work"]


def test_takes_nothing_once_closed_but_gives_what_it_has() -> None:
    outbox = Outbox(2)
    outbox.put(b"1", is_control=False)
    outbox.close()
    assert not outbox.put(b"2", is_control=True)
    assert taken(outbox) == [b"1"]
