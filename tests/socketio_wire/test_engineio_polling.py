"""Long polling, Engine.IO 4: what goes in by POST, what comes out by GET, and every wrong use."""

import asyncio
import base64
import random

import pytest

from dscore import core
from protocol.support import eventually, tcp
from socketio_wire.support import SEPARATOR, Here, engineio, web

SID_UNKNOWN, BAD_REQUEST = 1, 3
QUICK = {"ping_interval": 300, "ping_timeout": 200}


async def lives(here: Here) -> None:
    """Fails unless another client is still served."""
    other = await here.open()
    await other.say("4hello")
    assert await other.packets() == ["4hello"]


@pytest.mark.parametrize(
    "packets",
    [
        ["4hello"],
        ["4test1", "4test2", "4test3"],
        ["4hello", "bAQIDBA=="],
        ["bAQIDBA==", "bBQ==", "4after"],
        ["4"],
        ["4€ 한국어 😀"],
        ["4 \r\n\t4"],
    ],
    ids=str,
)
async def test_what_is_posted_comes_back_by_polls(packets: list[str]) -> None:
    async with engineio() as here:
        session = await here.open()
        await session.say(*packets)
        assert await session.collect(len(packets)) == packets


@pytest.mark.parametrize(
    "data", [b"0{}", b"1", b"2probe", b"3probe", b"4hi", b"5", b"6", b"b", b"\x04", b"\x1e4x", b"0"]
)
async def test_binary_that_begins_like_a_packet_stays_binary(data: bytes) -> None:
    packet = "b" + base64.b64encode(data).decode()
    async with engineio() as here:
        session = await here.open()
        await session.say(packet)
        assert await session.packets() == [packet]
        await session.say("4and on")
        assert await session.packets() == ["4and on"]


async def test_a_poll_waits_until_there_is_something() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting() as poll:
            await session.say("4hello")
            answer = await poll.answer()
        assert (answer.status, answer.text) == (200, "4hello")
        assert answer.headers["content-type"].lower() == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"


async def test_a_post_is_answered_ok() -> None:
    async with engineio() as here:
        answer = await (await here.open()).post("4hello")
        assert (answer.status, answer.text) == (200, "ok")
        # Not text/plain: a browser would offer it as a download.
        assert answer.headers["content-type"] == "text/html"
        assert answer.headers["cache-control"] == "no-store"


async def test_a_batch_to_a_waiting_poll_has_its_separators() -> None:
    async with engineio() as here:
        for count in (2, 3, 50):
            session = await here.open()
            packets = [f"4{number}" for number in range(count)]
            async with session.waiting() as poll:
                await session.say(*packets)
                text = (await poll.answer()).text
            came = text.split(SEPARATOR)
            came += await session.collect(count - len(came)) if len(came) < count else []
            assert came == packets


async def test_several_messages_sent_at_once_come_in_one_answer() -> None:
    async with engineio() as here:
        for _ in range(20):
            session = await here.open()
            await session.say("4test1", "4test2", "4test3")
            assert await session.packets() == ["4test1", "4test2", "4test3"]


async def test_a_post_of_very_many_packets_keeps_their_order() -> None:
    async with engineio() as here:
        session = await here.open()
        packets = [f"4{number}" for number in range(5000)]
        await session.say(*packets)
        assert await session.collect(5000) == packets


async def test_posts_and_polls_share_a_connection() -> None:
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        for number in range(20):
            text = f"4{number}"
            assert (await one.fetch("POST", session.target, body=text)).text == "ok"
            assert (await one.fetch("GET", session.target)).text == text


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        for _ in range(5):
            await one.ask("POST", session.target, body="4hello")
            await one.ask("GET", session.target)
        for _ in range(5):
            assert (await one.answer()).text == "ok"
            assert (await one.answer()).text == "4hello"


async def test_a_second_poll_sent_ahead_waits_for_the_first() -> None:
    # HTTP answers in order, so these are one after the other and not two at once.
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        await one.ask("GET", session.target)
        await one.ask("GET", session.target)
        await session.overtaken()
        await session.say("4one")
        assert (await one.answer()).text == "4one"
        await session.say("4two")
        assert (await one.answer()).text == "4two"


async def test_a_chunked_body_is_a_body() -> None:
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        chunks = b"3\r\n4he\r\n3;x=1\r\nllo\r\n0\r\n\r\n"
        fields = {"Transfer-Encoding": "chunked"}
        assert (await one.fetch("POST", session.target, body=chunks, headers=fields)).text == "ok"
        assert (await one.fetch("GET", session.target)).text == "4hello"


async def test_a_body_that_comes_byte_by_byte_is_a_body() -> None:
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        await one.ask("POST", session.target, headers={"Content-Length": "6"})
        for byte in b"4hello":
            await one.send(bytes([byte]))
        assert (await one.answer()).text == "ok"
        assert await session.packets() == ["4hello"]


async def test_expect_100_continue_is_answered() -> None:
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        fields = {"Content-Length": "6", "Expect": "100-continue"}
        await one.ask("POST", session.target, headers=fields)
        assert (await one.head())[0] == 100
        await one.send(b"4hello")
        assert (await one.answer()).text == "ok"


MALFORMED = [
    b"abc",
    b"9",
    b"x4hello",
    b"4ok\x1e",
    b"\x1e4ok",
    b"4ok\x1e\x1e4ok",
    b"4ok\x1e8",
    b"b!!!!",
    b"bA",
    b"4\xff\xfe",
    b"4\xed\xa0\x80",
    b"\x00",
]


@pytest.mark.parametrize("body", [b"", *MALFORMED], ids=repr)
async def test_a_malformed_body_is_refused_and_ends_the_session(body: bytes) -> None:
    async with engineio() as here:
        session = await here.open()
        answer = await session.post(body)
        assert answer.status == 400
        await session.is_gone()
        await lives(here)


async def test_what_came_before_the_malformed_packet_has_happened() -> None:
    async with engineio() as here:
        session = await here.open()
        await session.post(b"4first\x1eabc")
        message = await here.event(core.Message)
        assert message.data == b"first"


async def test_a_waiting_poll_is_told_when_a_malformed_post_ends_the_session() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting() as poll:
            assert (await session.post("abc")).status == 400
            answer = await poll.answer()
            assert (answer.status, answer.text) in ((200, "1"), (200, "6"))
        await session.is_gone()


async def test_binary_content_is_no_payload_of_engine_io_4() -> None:
    async with engineio() as here:
        session = await here.open()
        answer = await session.post("4hello", content_type="application/octet-stream")
        assert answer.status == 400
        await session.is_gone()


async def test_a_body_at_the_limit_passes_and_one_byte_more_is_413_and_the_end() -> None:
    async with engineio(max_message_size=1000) as here:
        session = await here.open()
        await session.say("4" + "x" * 999)
        assert await session.packets() == ["4" + "x" * 999]
        assert (await session.post("4" + "x" * 1000)).status == 413
        await session.is_gone()
        await lives(here)


async def test_a_chunked_body_over_the_limit_is_413_and_the_end() -> None:
    async with engineio(max_message_size=1000) as here, web(here.port) as one:
        session = await here.open()
        chunk = b"1f4\r\n" + b"4" * 500 + b"\r\n"
        fields = {"Transfer-Encoding": "chunked"}
        await one.ask("POST", session.target, headers=fields)
        await one.send(chunk * 3)
        assert (await one.answer()).status == 413
        await session.is_gone()


async def test_two_polls_at_once_end_the_session() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting() as first:
            assert (await session.poll()).status == 400
            answer = await first.answer()
            assert (answer.status, answer.text) == (200, "1")
        await session.is_gone()
        await lives(here)


async def test_two_posts_at_once_end_the_session() -> None:
    async with engineio() as here, web(here.port) as first:
        session = await here.open()
        await first.ask("POST", session.target, headers={"Content-Length": "6"})
        await first.send(b"4he")
        await session.overtaken()
        answer = await session.post("4hello")
        assert answer.status == 400
        await session.is_gone()
        await lives(here)


async def test_a_poll_that_is_given_up_ends_the_session() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting():
            pass

        async def is_over() -> bool:
            return (await session.poll()).status == 400

        # A reset tells of it, which the next poll may overtake.
        await eventually(is_over)
        await lives(here)


async def test_a_poll_whose_client_shuts_its_side_is_answered_and_the_session_goes_on() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting() as poll:
            poll.writer.write_eof()
            await poll.ended()
        await session.say("4hello")
        assert await session.packets() == ["4hello"]


async def test_a_post_that_is_given_up_ends_the_session() -> None:
    async with engineio() as here:
        session = await here.open()
        async with web(here.port) as post:
            await post.ask("POST", session.target, headers={"Content-Length": "6"})
            await post.send(b"4he")
            await session.overtaken()
        await session.is_gone()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
async def test_other_methods_are_refused_and_end_no_session(method: str) -> None:
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        options = {} if method == "HEAD" else {"body": "4hello"}
        answer = await one.fetch(method, session.target, **options)
        assert answer.status in (400, 405, 500)
        await session.say("4hello")
        assert await session.packets() == ["4hello"]


async def test_a_close_packet_ends_the_session_and_frees_its_poll() -> None:
    async with engineio() as here:
        session = await here.open()
        async with session.waiting() as poll:
            await session.say("1")
            answer = await poll.answer()
            assert (answer.status, answer.text) == (200, "6")
        await session.is_gone()
        closed = await here.event(core.Closed)
        assert closed.initiator == "peer"


async def test_what_follows_a_close_packet_is_dropped() -> None:
    async with engineio() as here:
        session = await here.open()
        assert (await session.post(f"4before{SEPARATOR}1{SEPARATOR}4after")).status == 200
        await session.is_gone()
        await here.event(core.Closed)
        messages = [event.data for event in here.events if isinstance(event, core.Message)]
        assert messages == [b"before"]


async def test_a_noop_is_nothing() -> None:
    async with engineio() as here:
        session = await here.open()
        await session.say("6", "4hello", "6")
        assert await session.packets() == ["4hello"]


async def test_a_poll_brings_pings_and_pongs_keep_the_session() -> None:
    async with engineio(**QUICK) as here:
        session = await here.open()
        for _ in range(3):
            assert await session.packets() == ["2"]
            await session.say("3")


async def test_a_session_without_pongs_ends_in_time() -> None:
    async with engineio(**QUICK) as here:
        session = await here.open()
        await asyncio.sleep(0.5)  # the very time is the matter here
        await session.is_gone()
        closed = await here.event(core.Closed)
        assert closed.cause == "ping_timeout"


async def test_a_poll_left_hanging_past_the_ping_timeout_is_let_go() -> None:
    async with engineio(**QUICK) as here:
        session = await here.open()
        assert await session.packets() == ["2"]
        async with session.waiting() as poll:
            answer = await poll.answer()
            assert (answer.status, answer.text) in ((200, "1"), (200, "6"), (400, answer.text))
        await session.is_gone()
        await lives(here)


async def test_an_ending_by_the_server_reaches_the_poll() -> None:
    async with engineio() as here:
        session = await here.open()
        conn = (await here.event(core.Opened)).conn
        async with session.waiting() as poll:
            here.pool.send(conn, b"goodbye")
            here.pool.close_connection(conn, 1001, "enough")
            assert (await poll.answer()).text in ("4goodbye", "4goodbye\x1e1")
        answer = await session.poll()
        assert answer.status == 400 or answer.text == "1"
        closed = await here.event(core.Closed)
        assert (closed.code, closed.initiator) == (1001, "server")


async def test_an_ending_by_the_server_waits_for_the_next_poll() -> None:
    async with engineio() as here:
        session = await here.open()
        conn = (await here.event(core.Opened)).conn
        here.pool.send(conn, b"goodbye")
        here.pool.close_connection(conn, 1001, "enough")
        # Socket.IO's own client loses what comes in one answer with the end.
        assert await session.packets() == ["4goodbye"]
        assert await session.packets() == ["1"]
        await session.is_gone()


async def test_a_close_of_a_session_that_never_polls_again_is_not_waited_for_long() -> None:
    async with engineio(close_timeout=100) as here:
        await here.open()
        here.pool.close_connection((await here.event(core.Opened)).conn, 1001, "enough")
        closed = await here.event(core.Closed)
        assert (closed.code, closed.initiator) == (1001, "server")


async def test_a_session_that_does_not_poll_has_a_bounded_queue() -> None:
    async with engineio(outbox_bytes=100_000) as here:
        session = await here.open()
        conn = (await here.event(core.Opened)).conn
        for _ in range(20):
            here.pool.send(conn, b"x" * 10_000)
        closed = await here.event(core.Closed)
        assert (closed.code, closed.cause) == (1013, "slow_consumer")
        answer = await session.poll()
        assert answer.status in (200, 400)
        await lives(here)


@pytest.mark.parametrize("seed", range(20))
async def test_rubbish_ends_its_own_session_and_no_other(seed: int) -> None:
    dice = random.Random(seed)
    async with engineio() as here:
        bystander = await here.open()
        for _ in range(10):
            session = await here.open()
            kinds = [b"4x", b"b", b"bAA==", b"2", b"3", b"5", b"6", b"0{}", b"\x1e", b"9", b"\xff"]
            body = b"".join(dice.choices(kinds, k=dice.randint(0, 12)))
            answer = await session.post(body)
            assert answer.status in (200, 400), body
        async with tcp(f"http://127.0.0.1:{here.port}") as one:
            await one.send(dice.randbytes(200) + b"\r\n\r\n")
            await one.ended()
        await bystander.say("4hello")
        assert await bystander.packets() == ["4hello"]
