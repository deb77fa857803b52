"""PROTOCOL.md §10: every sentence. No input ends the process, or delays another connection."""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from protocol.support import (
    Bytes,
    Running,
    agents,
    eventually,
    frame,
    hears_only,
    introduced,
    running,
    settled,
    tcp,
    upgraded,
)
from serving import Serving
from waiting import wait_until
from wire import agent

DEEP = "[" * 100_000 + "]" * 100_000
BAD_JSON = ["", " ", "{", "nonsense", "[]", '"x"', "null", "1", '{"type": "x",}', "{}{}", "\u0000"]
BAD_JSON += ['{"type": "x", "n": NaN}', "{'type': 'x'}", DEEP]
BAD_TYPE = ["{}", '{"type": 1}', '{"type": null}', '{"type": ["app_ready"]}', '{"Type": "x"}']
HEAD = "GET /deepstream/ws HTTP/1.1\r\nHost: x\r\n"


async def refused(one: Any, text: str) -> dict[str, Any]:
    await one.send_text(text)
    error = await one.recv()
    assert error["type"] == "error", error
    assert isinstance(error["message"], str)
    assert error["message"]
    return dict(error)


@pytest.mark.parametrize("text", BAD_JSON, ids=lambda text: text[:12] or "empty")
async def test_malformed_json_is_bad_json(text: str) -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        assert (await refused(one, text))["code"] == "bad_json"
        await one.beat()
        async with agent(here.ws, introduce=False) as unauthenticated:
            assert (await refused(unauthenticated, text))["code"] == "bad_json"
            unauthenticated.agent_id = "a-2"
            await unauthenticated.introduce()


@pytest.mark.parametrize("kind", ["app_ready", "heartbeat", "watch", "detections"])
async def test_nesting_beyond_all_reason_is_survived(kind: str) -> None:
    names = f'"instance_id": "a-1", "clientName": "a-1", "type": "{kind}"'
    async with running() as here, agents(here.ws, "a-1") as [one]:
        for field in ("config", "filter", "extra"):
            await one.send_text(f'{{{names}, "{field}": {DEEP}}}')
        await settled(one)
        one.kept.clear()
        await one.beat()


@pytest.mark.parametrize("text", BAD_TYPE)
async def test_a_missing_or_non_string_type_is_bad_type(text: str) -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        error = await refused(one, text)
        assert error["code"] == "bad_type"
        assert "request_type" not in error
        await one.beat()


@pytest.mark.parametrize("fields", [{}, {"instance_id": ""}, {"clientName": "a-1"}])
async def test_a_missing_or_empty_agent_id_is_missing_field(fields: dict[str, str]) -> None:
    async with running() as here, agent(here.ws, introduce=False) as one:
        error = await refused(one, json.dumps({"type": "app_ready", **fields}))
        assert (error["code"], error["request_type"]) == ("missing_field", "app_ready")
        await one.introduce()


@pytest.mark.parametrize(
    ("agent_id", "code"),
    [
        ("x" * 128, None),
        ("x" * 129, "bad_field"),
        ("가" * 42, None),
        ("가" * 43, "bad_field"),  # bytes count, and these are 129
        (7, "bad_field"),
        (True, "bad_field"),
        (["a"], "bad_field"),
    ],
)
@pytest.mark.parametrize("kind", ["app_ready", "heartbeat"])
async def test_an_agent_id_is_a_string_of_at_most_128_bytes(
    kind: str, agent_id: object, code: str | None
) -> None:
    name = "instance_id" if kind == "app_ready" else "clientName"
    async with running() as here, agent(here.ws, introduce=False) as one:
        await one.send(kind, **{name: agent_id})
        assert (await one.recv()).get("code") == code


@pytest.mark.parametrize(
    "fields",
    [
        {"reconnection": "yes"},
        {"reconnection": 1},
        {"last_close_code": "1001"},
        {"last_close_code": -1},
        {"last_close_code": 1.5},
        {"last_close_code": True},
        {"config": []},
        {"config": "x"},
        {"token": 1},
        {"token": "x" * 2000},
    ],
    ids=str,
)
async def test_a_wrong_field_type_is_bad_field(fields: dict[str, object]) -> None:
    async with running() as here, agent(here.ws, introduce=False) as one:
        message = {"type": "app_ready", "instance_id": "a-1", **fields}
        assert (await refused(one, json.dumps(message)))["code"] == "bad_field"
        assert here.server.fleet.agent("a-1") is None
        await one.introduce()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "app_terminated", "status": "OK"}, "missing_field"),
        ({"type": "app_terminated", "request_id": "x"}, "missing_field"),
        ({"type": "app_terminated", "request_id": 5, "status": "OK"}, "bad_field"),
        ({"type": "app_terminated", "request_id": "x", "status": True}, "bad_field"),
        (
            {"type": "app_terminated", "request_id": "x", "status": "OK", "complete": "no"},
            "bad_field",
        ),
        ({"type": "termination_progress", "request_id": "x", "stage": "x"}, "missing_field"),
        (
            {"type": "termination_progress", "request_id": "x", "stage": "x", "need_ms": -1},
            "bad_field",
        ),
        (
            {"type": "termination_progress", "request_id": "x", "stage": "x", "need_ms": "9"},
            "bad_field",
        ),
        ({"type": "client_status_request"}, "missing_field"),
        ({"type": "client_status_request", "clientName": 5}, "bad_field"),
        ({"type": "connection_check_response"}, "missing_field"),
        ({"type": "heartbeat"}, "missing_field"),
        ({"type": "watch", "filter": []}, "bad_field"),
        ({"type": "watch", "filter": {"status": "away"}}, "bad_field"),
        ({"type": "watch", "snapshot": "yes"}, "bad_field"),
    ],
    ids=str,
)
async def test_fields_of_every_type_are_checked(message: dict[str, object], code: str) -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        error = await refused(one, json.dumps(message))
        assert (error["code"], error["request_type"]) == (code, message["type"])
        await one.beat()


async def test_unknown_fields_are_passed_over() -> None:
    async with running() as here, agent(here.ws, introduce=False) as one:
        await one.introduce(version="9.9", nested={"type": "heartbeat"}, token=None, config=None)
        await one.beat(battery=0.5, ip_address=None)


async def test_the_tenth_error_is_answered_then_1008() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        for _ in range(9):
            await refused(one, "{")
        await one.beat()
        assert (await refused(one, "{"))["code"] == "bad_json"
        assert await one.closed() == (1008, "too many errors")
        assert one.kept == []


async def test_max_errors_can_be_set_and_counts_every_kind_of_refusal() -> None:
    async with running({"limits": {"max_errors": 3}}) as here, agents(here.ws, "a-1") as [one]:
        await refused(one, "{")
        await refused(one, '{"type": "heartbeat", "clientName": "a-2"}')
        await refused(one, '{"type": "app_ready", "instance_id": "a-2"}')
        assert await one.closed() == (1008, "too many errors")


async def test_errors_are_counted_before_the_introduction_and_across_it() -> None:
    async with (
        running({"limits": {"max_errors": 2}}) as here,
        agent(here.ws, introduce=False) as one,
    ):
        await refused(one, '{"type": "app_ready"}')
        await one.introduce()
        await refused(one, "{")
        assert await one.closed() == (1008, "too many errors")


@pytest.mark.parametrize("is_introduced", [True, False])
async def test_binary_is_1003(is_introduced: bool) -> None:
    async with (
        running() as here,
        (introduced if is_introduced else upgraded)(here.ws) as one,
    ):
        await one.send(frame(2, b"\x00"))
        assert (await one.closed())[0] == 1003


async def test_too_many_fragments_are_1008() -> None:
    async with (
        running({"limits": {"fragments": 8}}) as here,
        introduced(here.ws) as one,
    ):
        await one.send(frame(1, b"{", fin=False) + frame(0, b" ", fin=False) * 6)
        await one.send(frame(0, b"}"))  # eight: allowed
        assert (await one.message("error"))["code"] == "bad_type"
        await one.send(frame(1, b"{", fin=False) + frame(0, b" ", fin=False) * 8)
        assert (await one.closed())[0] == 1008


async def test_a_request_id_unknown_repeated_or_anothers_is_counted_and_logged(
    serving: Serving,
) -> None:
    async with agents(serving.ws, "a-1", "a-2") as [one, other]:
        path = "/api/v1/agents/{}/terminate"
        asked = [
            asyncio.create_task(asyncio.to_thread(serving.request, "POST", path.format(name)))
            for name in ("a-1", "a-2")
        ]
        order = await one.recv_type("terminate_app")
        others = await other.recv_type("terminate_app")
        await one.answer({"request_id": "unknown"})
        await one.answer(others)
        await one.answer({"request_id": order["request_id"].upper()})
        await hears_only(one)
        for wire, own in ((one, order), (other, others)):
            await wire.answer(own, status="ERROR")
            await wire.answer(own, status="ERROR")
            await wire.answer(own)
            assert (await wire.closed())[0] == 1000
        for answer in asked:
            status, body = await answer
            assert (status, json.loads(body)["outcome"]) == (200, "acked")
    metrics = (await asyncio.to_thread(serving.get, "/metrics"))[1].decode()
    counted = [line for line in metrics.splitlines() if "unmatched" in line and line[0] != "#"]
    assert [float(line.split()[-1]) for line in counted] == [3.0], counted

    def are_logged() -> bool:
        return [line["event"] for line in serving.log_lines()].count("unmatched_answer") == 3

    await asyncio.to_thread(wait_until, are_logged, "lines of log")


async def test_a_message_over_the_limit_is_1009_whole_or_in_fragments() -> None:
    async with running({"socket": {"max_message_size": 200}}) as here:
        async with introduced(here.ws) as one:
            fits = json.dumps({"type": "x", "padding": ""}).encode()
            await one.send(frame(1, fits[:-2] + b"x" * (200 - len(fits)) + fits[-2:]))
            await one.say("heartbeat", clientName="a-1")
            await one.message("heartbeat_response")
            await one.send(frame(1, b"x" * 120, fin=False) + frame(0, b"x" * 81))
            assert (await one.closed())[0] == 1009
        async with introduced(here.ws) as one:
            await one.send(frame(1, b"x" * 201)[:10])  # the length alone says enough
            assert (await one.closed())[0] == 1009


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x00",  # not masked
        frame(1, rsv=4),
        frame(1, rsv=1),
        frame(3),
        frame(7),
        frame(11),
        frame(15),
        frame(0, b"x"),  # continues nothing
        frame(1, b"{", fin=False) + frame(1, b"}"),  # one message inside another
        frame(9, b"x", fin=False),
        frame(9, b"x" * 126),
        frame(8, b"\x03"),
        b"\x81\xfe\x00\x01" + bytes(4) + b"x",  # a length that is longer than it need be
        b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x01" + bytes(4),
    ],
    ids=lambda data: data[:4].hex(),
)
async def test_a_frame_that_breaks_rfc_6455_is_1002(data: bytes) -> None:
    async with running() as here, introduced(here.ws) as one:
        await one.send(data)
        assert (await one.closed())[0] == 1002


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"\xc0\x80"),
        frame(1, b"\xed\xa0\x80"),
        frame(1, b"\xf4\x90\x80\x80"),
        frame(1, "가".encode()[:2]),
        frame(1, b"ok", fin=False) + frame(0, b"\xff", fin=False),
        frame(8, b"\x03\xe8\xff"),
    ],
    ids=lambda data: data[-4:].hex(),
)
async def test_text_that_is_not_utf_8_is_1007(data: bytes) -> None:
    async with running() as here, introduced(here.ws) as one:
        await one.send(data)
        assert (await one.closed())[0] == 1007


@pytest.mark.parametrize(
    "request_",
    [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",  # RFC 9112 §3.2: no Host
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nname : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS, on a port that has none
    ],
    ids=lambda text: text[:60].encode("unicode_escape").decode(),
)
async def test_bad_http_is_400_and_close(request_: str) -> None:
    async with running() as here, tcp(here.ws) as one:
        await one.send(request_.encode("latin-1"))
        status, _ = await one.head()
        assert status in (400, 501) if "chunked" in request_ else status == 400
        await one.ended()


async def test_a_head_over_the_limit_is_431() -> None:
    async with running() as here, tcp(here.ws) as one:
        await one.send(HEAD.encode() + b"X-Filler: " + b"x" * 17_000)
        assert (await one.head())[0] == 431
        await one.ended()


async def test_a_head_of_sixteen_kib_less_a_bit_is_fine() -> None:
    async with running() as here:
        headers = {"x-filler": "x" * 15_000}
        assert (await here.pages.get("/livez", headers=headers)).status_code == 200


@pytest.mark.timed
@pytest.mark.parametrize("trickle", [False, True])
async def test_no_complete_head_in_time_is_408(trickle: bool) -> None:
    async with running({"limits": {"handshake_timeout": 0.3}}) as here, tcp(here.ws) as one:
        began = time.monotonic()
        await one.send(HEAD.encode())

        async def drip() -> None:
            while True:  # a slow loris
                await one.send(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip()) if trickle else None
        assert (await one.head())[0] == 408
        # Less than the ten seconds that it has by default.
        assert 0.3 - 0.01 <= time.monotonic() - began < 9.0
        await one.ended()
        if dripping is not None:
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)


async def test_a_connection_that_says_nothing_at_all_ends() -> None:
    async with running({"limits": {"handshake_timeout": 0.2}}) as here, tcp(here.ws) as one:
        await one.ended()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            426,
        ),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: short\r\n",
            400,
        ),
    ],
    ids=["no key", "old version", "bad key"],
)
async def test_an_upgrade_that_breaks_rfc_6455_is_refused(headers: str, status: int) -> None:
    async with running() as here, tcp(here.ws) as one:
        await one.send((HEAD + headers + "\r\n").encode())
        assert (await one.head())[0] == status


async def test_an_upgrade_of_a_foreign_origin_is_refused_where_origins_are_named() -> None:
    settings = {"socket": {"cors_origins": ["https://fleet.example"]}}
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    async with running(settings) as here:
        for origin, status in (("https://evil.example", 403), ("https://fleet.example", 101)):
            async with tcp(here.ws) as one:
                await one.send(f"{HEAD}{upgrade}Origin: {origin}\r\n\r\n".encode())
                assert (await one.head())[0] == status


async def test_an_agent_that_does_not_read_is_1013_slow_consumer() -> None:
    settings = {"limits": {"outbox_bytes": 65_536}}
    async with running(settings) as here, introduced(here.ws) as one, agents(here.ws, "a-2"):
        padding = "x" * 50_000

        async def is_too_slow() -> bool:
            known = here.server.fleet.agent("a-1")
            assert known is not None
            known.send({"type": "note", "padding": padding})
            return here.server.core_stats()["slow_consumers_total"] == 1

        await eventually(is_too_slow)
        # What was queued before comes first, if it begins to read after all.
        payload = await one.close_payload()
        assert payload == (1013).to_bytes(2, "big") + b"slow consumer"
        await eventually(lambda: is_gone(here, "a-1"))
        assert [known.id for known in here.server.fleet.agents() if known.connected] == ["a-2"]


async def test_an_agent_that_never_reads_is_cut_all_the_same() -> None:
    settings = {"limits": {"outbox_bytes": 65_536}, "shutdown": {"close_timeout": 0.2}}
    async with running(settings) as here, introduced(here.ws):

        async def is_cut() -> bool:
            known = here.server.fleet.agent("a-1")
            assert known is not None
            if known.connected:
                known.send({"type": "note", "padding": "x" * 50_000})
            return not known.connected

        await eventually(is_cut)


async def is_gone(here: Running, agent_id: str) -> bool:
    known = here.server.fleet.agent(agent_id)
    return known is not None and not known.connected


@pytest.mark.timed
@pytest.mark.parametrize("seed", range(5))
async def test_rubbish_ends_its_own_connection_and_no_other(seed: int) -> None:
    noise = random.Random(seed)
    async with running() as here, agents(here.ws, "good") as [good]:
        for opening in (tcp, upgraded, introduced) * 10:
            async with opening(here.ws) as one:
                one.writer.write(noise.randbytes(noise.randrange(1, 5_000)))
                if noise.random() < 0.5:
                    one.writer.write_eof()
        began = time.monotonic()
        await good.beat()
        assert time.monotonic() - began < 1.25
        await settled(good)


async def test_the_process_lives_through_all_of_it(serving: Serving) -> None:
    noise = random.Random(0)

    async def trouble(open_: Callable[..., Any]) -> None:
        async with open_(serving.ws) as one:
            assert isinstance(one, Bytes)
            for _ in range(10):
                one.writer.write(noise.randbytes(100))
            one.writer.write(frame(1, os.urandom(50)))

    async with agent(serving.ws, "good") as good:
        for _ in range(20):
            await asyncio.gather(*map(trouble, (tcp, upgraded, tcp)), return_exceptions=True)
            await good.beat()
    assert serving.process.poll() is None
    assert await asyncio.to_thread(serving.stop) == 0
    assert "Traceback" not in serving.log
    assert "panicked" not in serving.log
