"""The wire's messages: exact names, exact order, and nothing believed of a peer."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dscore.agent_ids import MAX_AGENT_ID
from dscore.messages import (
    AppReady,
    AppReadyAck,
    ClientReconnected,
    ClientStatusChanged,
    ClientStatusRequest,
    DrainProgress,
    Heartbeat,
    HeartbeatResponse,
    ReconnectionAck,
    ReconnectionSuccess,
    Refusal,
    ServerShutdown,
    ServerStatusResponse,
    Watch,
    WatchFilter,
    parse,
    parse_object,
    timestamp,
    timestamp_now,
)

NOW = "2026-01-31T12:00:00.000Z"

OUTBOUND = {
    AppReadyAck(session_restored=False, next_heartbeat_in=30_000): (
        b'{"type":"app_ready_ack","status":"ok","session_restored":false,'
        b'"server_status":"running","nextHeartbeatIn":30000}'
    ),
    ReconnectionAck(session_restored=True): (
        b'{"type":"reconnection_ack","status":"ok","session_restored":true,'
        b'"server_status":"running"}'
    ),
    HeartbeatResponse(NOW, "heartbeat received", 30_000): (
        b'{"type":"heartbeat_response","status":"ok","timestamp":"2026-01-31T12:00:00.000Z",'
        b'"message":"heartbeat received","nextHeartbeatIn":30000}'
    ),
    HeartbeatResponse(NOW, "하트비트 처리 중 오류 발생", None): (
        '{"type":"heartbeat_response","status":"error","timestamp":"2026-01-31T12:00:00.000Z",'
        '"message":"하트비트 처리 중 오류 발생","shouldReconnect":true}'
    ).encode(),
    ServerShutdown("bye", NOW, 5000): (
        b'{"type":"server_shutdown","message":"bye","timestamp":"2026-01-31T12:00:00.000Z",'
        b'"reconnectAfter":5000}'
    ),
    ServerStatusResponse("online", NOW, "fine", "offline", 1.5): (
        b'{"type":"server_status_response","serverStatus":"online","clientStatus":"offline",'
        b'"timestamp":"2026-01-31T12:00:00.000Z","serverUptime":1.5,"message":"fine"}'
    ),
    ServerStatusResponse("error", NOW, "unknown"): (
        b'{"type":"server_status_response","serverStatus":"error",'
        b'"timestamp":"2026-01-31T12:00:00.000Z","message":"unknown"}'
    ),
    ClientStatusChanged("cam-1", "online", None, None, NOW): (
        b'{"type":"client_status_changed","id":"cam-1","name":"cam-1","status":"online",'
        b'"reason":null,"reason_code":null,"lastHeartbeat":"2026-01-31T12:00:00.000Z"}'
    ),
    ClientStatusChanged("cam-1", "offline", "gone", "no_connection", None, snapshot=True): (
        b'{"type":"client_status_changed","id":"cam-1","name":"cam-1","status":"offline",'
        b'"reason":"gone","reason_code":"no_connection","lastHeartbeat":null,"snapshot":true}'
    ),
    ClientReconnected("cam-1", NOW): (
        b'{"type":"client_reconnected","clientName":"cam-1","timestamp":"2026-01-31T12:00:00.000Z"}'
    ),
    DrainProgress("restart", 7, 1, 2, 0, 1, 0, 1, 3): (
        b'{"type":"drain_progress","intent":"restart","total":7,"acked":1,"failed":2,'
        b'"timed_out":0,"vanished":1,"notified":0,"incomplete":1,"pending":3}'
    ),
}


@pytest.mark.parametrize(("message", "text"), OUTBOUND.items(), ids=lambda one: type(one).__name__)
def test_outbound_message_is_these_bytes(message: Any, text: bytes) -> None:
    assert message.dump() == text


def test_timestamp_is_utc_with_milliseconds_and_z() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1769860800.1239) == "2026-01-31T12:00:00.123Z"
    assert timestamp(1769860799.9996) == "2026-01-31T11:59:59.999Z"
    assert timestamp(-0.25) == "1969-12-31T23:59:59.750Z"
    assert len(timestamp_now()) == len(NOW)
    assert timestamp_now().endswith("Z")


def message(kind: str, **fields: object) -> Any:
    return parse(kind, orjson.dumps({"type": kind, **fields}))


def refusal(kind: str, **fields: object) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        message(kind, **fields)
    assert caught.value.request_type == kind
    return caught.value.code, caught.value.message


def test_app_ready_of_the_deepstream_contract() -> None:
    text = b"""{
        "type": "app_ready", "instance_id": "unique_client_id", "reconnection": true,
        "last_close_code": 1001, "config": {"a": [1, "\xed\x95\x98"]}, "token": "t"
    }"""
    assert parse("app_ready", text) == AppReady(
        "unique_client_id",
        reconnection=True,
        last_close_code=1001,
        config='{"a":[1,"하"]}'.encode(),
        token="t",
    )


def test_heartbeat_of_the_socketio_contract() -> None:
    assert message(
        "heartbeat", clientName="cam-1", ip_address="10.0.0.7", timestamp=NOW
    ) == Heartbeat("cam-1", "10.0.0.7", NOW)
    assert message("heartbeat", clientName="cam-1", timestamp=1769860800123).timestamp > 0


def test_optional_fields_may_be_missing_null_or_new() -> None:
    assert message("app_ready", instance_id="a") == AppReady("a")
    assert message("app_ready", instance_id="a", token=None, config=None, new=1) == AppReady("a")
    assert message("heartbeat", clientName="a", ip_address="", timestamp=None) == Heartbeat("a")
    assert message("watch", filter=None, snapshot=None) == Watch()
    assert message("watch", filter={"new": 1}) == Watch()


def test_app_ready_with_an_empty_config_keeps_nothing() -> None:
    assert message("app_ready", instance_id="a", config={}).config is None


def test_small_messages() -> None:
    assert message("reconnection_success", clientName="a") == ReconnectionSuccess("a")
    assert message("client_status_request", clientName="a") == ClientStatusRequest("a")
    assert message("watch", filter={"status": "offline", "q": "cam"}, snapshot=True) == Watch(
        WatchFilter("offline", "cam"), snapshot=True
    )


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("app_ready", "instance_id"),
        ("heartbeat", "clientName"),
        ("reconnection_success", "clientName"),
        ("client_status_request", "clientName"),
    ],
)
def test_agent_id_is_missing_when_empty_and_bad_when_long_or_no_text(kind: str, field: str) -> None:
    assert refusal(kind) == ("missing_field", f"{field} is missing")
    assert refusal(kind, **{field: ""}) == ("missing_field", f"{field} is missing")
    for wrong in (None, 7, True, ["a"], {"a": 1}):
        assert refusal(kind, **{field: wrong}) == ("bad_field", f"{field} must be a string")
    assert message(kind, **{field: "a" * MAX_AGENT_ID}).agent_id == "a" * MAX_AGENT_ID
    for long in ("a" * (MAX_AGENT_ID + 1), "하" * 43):
        assert refusal(kind, **{field: long}) == ("bad_field", f"{field} is longer than 128 bytes")
    assert message(kind, **{field: "하" * 42}).agent_id == "하" * 42


@pytest.mark.parametrize(
    ("kind", "field", "wrong"),
    [
        ("app_ready", "reconnection", 1),
        ("app_ready", "reconnection", "true"),
        ("app_ready", "last_close_code", True),
        ("app_ready", "last_close_code", 1001.0),
        ("app_ready", "last_close_code", "1001"),
        ("app_ready", "last_close_code", -1),
        ("app_ready", "last_close_code", 65_536),
        ("app_ready", "config", []),
        ("app_ready", "config", "{}"),
        ("app_ready", "token", 1),
        ("app_ready", "token", "t" * 1025),
        ("heartbeat", "ip_address", 1),
        ("heartbeat", "ip_address", "1" * 257),
        ("heartbeat", "timestamp", True),
        ("heartbeat", "timestamp", []),
        ("watch", "filter", "online"),
        ("watch", "filter", []),
        ("watch", "snapshot", "yes"),
        ("watch", "token", {}),
    ],
)
def test_field_of_a_wrong_type_or_length_is_refused(kind: str, field: str, wrong: object) -> None:
    code, sentence = refusal(kind, **{"instance_id": "a", "clientName": "a", field: wrong})
    assert code == "bad_field"
    assert sentence.startswith(f"{field} ")


@pytest.mark.parametrize("wrong", [{"status": "on"}, {"status": 1}, {"q": 1}, {"q": "x" * 257}])
def test_filter_is_checked(wrong: dict[str, object]) -> None:
    assert refusal("watch", filter=wrong)[0] == "bad_field"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"a"', b'{"a":NaN}', b"\xff", b"{}{}"])
def test_what_is_no_object_is_bad_json(text: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_object(text)
    assert caught.value.code == "bad_json"


def test_type_that_is_not_ours_is_for_the_caller() -> None:
    with pytest.raises(KeyError):
        parse("snapshot_request", b"{}")


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (WatchFilter(), True),
        (WatchFilter(status="online"), True),
        (WatchFilter(status="offline"), False),
        (WatchFilter(q="HALL"), True),
        (WatchFilter(q="yard"), False),
        (WatchFilter("offline", "hall"), False),
    ],
)
def test_filter_fits_status_and_part_of_the_id(wanted: WatchFilter, fits: bool) -> None:
    assert wanted.fits("cam-Hall-1", "online") is fits


# No white space, which is removed at the ends, and no control characters, which are refused.
AGENT_IDS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=32
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=200),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["app_ready", "heartbeat", "reconnection_success", "client_status_request", "watch"]
)
FIELDS = st.sampled_from(
    [
        *("instance_id", "clientName", "reconnection", "last_close_code", "config", "token"),
        *("ip_address", "timestamp", "filter", "snapshot", "type"),
    ]
)


@given(AGENT_IDS, st.booleans(), st.integers(0, 65_535), st.dictionaries(st.text(), st.integers(0)))
def test_app_ready_comes_out_as_it_went_in(
    agent_id: str, reconnection: bool, code: int, config: dict[str, int]
) -> None:
    config = {name: number % 2**53 for name, number in config.items()}
    read = message(
        "app_ready",
        instance_id=agent_id,
        reconnection=reconnection,
        last_close_code=code,
        config=config,
    )
    assert (read.agent_id, read.reconnection, read.last_close_code) == (
        agent_id,
        reconnection,
        code,
    )
    assert orjson.loads(read.config or b"{}") == config


@given(AGENT_IDS, st.text(), st.booleans())
def test_outbound_texts_come_out_as_they_went_in(agent_id: str, text: str, flag: bool) -> None:
    changed = ClientStatusChanged(agent_id, "offline", text, "operator", None, snapshot=flag)
    read = orjson.loads(changed.dump())
    assert (read["id"], read["name"], read["reason"]) == (agent_id, agent_id, text)
    assert ("snapshot" in read) is flag


@given(KINDS, st.dictionaries(FIELDS, JSON))
def test_any_object_is_read_or_refused(kind: str, fields: dict[str, object]) -> None:
    with suppress(Refusal):
        read = parse(kind, orjson.dumps(fields))
        agent_id = getattr(read, "agent_id", "a")
        assert 0 < len(agent_id.encode()) <= MAX_AGENT_ID


@given(KINDS, st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(kind: str, text: bytes) -> None:
    with suppress(Refusal):
        parse(kind, text)


@pytest.mark.parametrize("depth", [100, 300, 5000])
def test_deep_nesting_is_read_or_refused(depth: int) -> None:
    text = b'{"instance_id":"a","config":{"x":' + b"[" * depth + b"]" * depth + b"}}"
    with suppress(Refusal):
        assert parse("app_ready", text)
