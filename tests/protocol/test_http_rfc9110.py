"""RFC 9110, HTTP semantics, by its sections: against the real program, whole and byte by byte."""

import time
from email.utils import parsedate_to_datetime

import pytest

from http_wire import PACES, Answer, Line, Pace, answers, statuses
from serving import Serving

READ = {"GET", "HEAD", "OPTIONS"}
PATHS = ["/livez", "/readyz", "/startupz", "/deepstream/health", "/metrics", "/"]
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)

paces = pytest.mark.parametrize("pace", PACES)


def address(serving: Serving) -> tuple[str, int]:
    return serving.host, serving.port


def request(method: str, path: str, fields: bytes = b"", version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n".encode() + fields + b"\r\n"


def first(serving: Serving, data: bytes, pace: Pace = "whole", *, method: str = "GET") -> Answer:
    return answers(address(serving), data, pace, method=method)[0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("GET", "/livez"), 200),
        (request("OPTIONS", "/"), 204),
        (request("OPTIONS", "*"), 204),
        (request("OPTIONS", "/deepstream/ws"), 204),
        (request("OPTIONS", "/socket.io/"), 204),
        (request("GET", "/nothing"), 404),
        (request("PUT", "/livez"), 405),
        (request("PUT", "/deepstream/ws"), 405),
        (request("GET", "/deepstream/ws"), 426),
        (request("GET", "/socket.io/?EIO=4&transport=polling"), 200),
        (request("GET", "/socket.io/?EIO=9"), 400),
        (b"nonsense\r\n\r\n", 400),
        (request("GET", "/livez", b"Expect: x\r\n"), 417),
        (request("POST", "/livez", b"Content-Length: 2000000\r\n"), 413),
        (request("GET", "/livez", b"X: " + b"x" * 20_000 + b"\r\n"), 431),
    ],
    ids=lambda value: ascii(value)[2:60] if isinstance(value, bytes) else None,
)
def test_6_6_1_every_answer_has_one_date(lasting: Serving, data: bytes, status: int) -> None:
    answer = first(lasting, data)
    assert answer.status == status
    date = answer.fields["date"]
    assert date.endswith(" GMT")
    assert len(date) == len("Sun, 06 Nov 1994 08:49:37 GMT")
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 10


@paces
@pytest.mark.parametrize("other", [b"h2c", b"TLS/1.0", b"HTTP/3.0, foo"])
def test_7_8_an_upgrade_to_what_is_not_spoken_is_passed_over(
    lasting: Serving, other: bytes, pace: Pace
) -> None:
    fields = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + other + b"\r\n"
    assert statuses(address(lasting), request("GET", "/livez", fields), pace) == [200, 200]


@pytest.mark.parametrize("method", ["get", "Get", "BREW", "M-SEARCH", "PROPFIND", "x"])
@pytest.mark.parametrize("path", PATHS)
def test_9_1_a_method_that_is_not_known_is_501(lasting: Serving, method: str, path: str) -> None:
    assert first(lasting, request(method, path)).status == 501


@paces
@pytest.mark.parametrize(
    "path",
    [*PATHS, "/nothing", "/api/v1/maintenance", "/deepstream/ws", "/socket.io/?EIO=9"],
)
def test_9_3_2_head_is_get_without_content(lasting: Serving, path: str, pace: Pace) -> None:
    get = first(lasting, request("GET", path), pace)
    head = first(lasting, request("HEAD", path), pace, method="HEAD")
    assert (head.status, head.body) == (get.status, b"")
    passing = {"date", "content-length", "etag"}
    assert head.fields.keys() | passing == get.fields.keys() | passing
    assert head.fields.get("content-type") == get.fields.get("content-type")


@pytest.mark.parametrize(
    ("fields", "status"),
    [(b"Host: i\r\n", 400), (b"Expect: x\r\n", 417), (b"X: " + b"x" * 20_000 + b"\r\n", 431)],
)
def test_9_3_2_a_head_that_is_refused_gets_no_content_either(
    lasting: Serving, fields: bytes, status: int
) -> None:
    with Line(*address(lasting)) as line:
        line.send(request("HEAD", "/livez", fields))
        answer = line.answer("HEAD")
        assert answer is not None
        assert answer.status == status
        assert line.answer() is None, "content after the head"


@paces
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((path, READ) for path in PATHS),
        ("/api/v1/openapi.json", READ),
        ("/api/v1/status", READ),
        ("/api/v1/agents", READ),
        ("/api/v1/maintenance", READ | {"POST"}),
        ("/api/v1/drain", READ | {"POST"}),
        ("/api/v1/agents/a%2Fb", READ | {"DELETE"}),
        ("/api/v1/agents/a/events", READ),
        ("/api/v1/agents/a/message", {"OPTIONS", "POST"}),
        ("/api/v1/agents/a/terminate", {"OPTIONS", "POST"}),
        ("/deepstream/ws", READ),
        ("/socket.io/", {"GET", "OPTIONS", "POST"}),
        ("*", READ | {"DELETE", "POST"}),
    ],
)
def test_9_3_7_options_names_all_methods_of_a_path(
    lasting: Serving, path: str, expected: set[str], pace: Pace
) -> None:
    found = answers(address(lasting), request("OPTIONS", path), pace)
    assert [answer.status for answer in found] in ([200, 200], [204, 200])
    assert found[0].allow == expected


@paces
@pytest.mark.parametrize("path", ["/", "*", "/livez", "/readyz", "/deepstream/health", "/metrics"])
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "HEAD"])
@pytest.mark.parametrize("fields", [b"", b"Host: localhost\r\n", b"Connection: keep-alive\r\n"])
def test_9_3_7_health_checks_of_haproxy_are_answered(
    lasting: Serving, method: str, path: str, fields: bytes, pace: Pace
) -> None:
    if path == "*":
        method = "OPTIONS"  # there is no other of the server as a whole
    data = f"{method} {path} HTTP/1.0\r\n".encode() + fields + b"\r\n"
    found = answers(address(lasting), data, pace, method=method)
    assert found[0].status in (200, 204)
    stays = b"keep-alive" in fields
    assert found[0].fields["connection"] == ("keep-alive" if stays else "close")
    assert len(found) == (2 if stays else 1)


def test_9_3_7_options_of_a_probe_says_how_things_are(lasting: Serving) -> None:
    for path in ("/livez", "/readyz", "/deepstream/health"):
        get, options = (first(lasting, request(how, path)) for how in ("GET", "OPTIONS"))
        assert get.status == options.status == 200
        assert options.allow == READ


def test_9_3_7_options_of_nothing_is_404(lasting: Serving) -> None:
    assert first(lasting, request("OPTIONS", "/nothing")).status == 404
    assert first(lasting, request("OPTIONS", "/api/v1/nothing")).status == 404


@paces
@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        *(("POST", path, READ) for path in PATHS),
        ("PUT", "/livez", READ),
        ("PATCH", "/metrics", READ),
        ("QUERY", "/metrics", READ),
        ("TRACE", "/", READ),
        ("DELETE", "/readyz", READ),
        ("PUT", "/deepstream/ws", READ),
    ],
)
def test_10_2_1_a_405_names_all_methods_of_its_path(
    lasting: Serving, method: str, path: str, expected: set[str], pace: Pace
) -> None:
    answer = first(lasting, request(method, path), pace)
    assert answer.status == 405
    assert answer.allow == expected


@paces
@pytest.mark.parametrize("expectation", [b"100-continue", b"100-Continue"])
def test_10_1_1_a_body_that_is_held_back_is_asked_for(
    lasting: Serving, expectation: bytes, pace: Pace
) -> None:
    for framing, body in (
        (b"Content-Length: 5\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    ):
        with Line(*address(lasting)) as line:
            line.send(request("GET", "/livez", framing + b"Expect: " + expectation + b"\r\n"), pace)
            interim = line.answer()
            assert interim is not None
            assert (interim.status, interim.fields) == (100, {})
            line.send(body, pace)
            final = line.answer()
            assert final is not None
            assert final.status == 200


@paces
@pytest.mark.parametrize(
    ("fields", "version", "expected"),
    [
        # Nothing to wait for.
        (b"Expect: 100-continue\r\n", "1.1", [200, 200]),
        (b"Expect: 100-continue\r\nContent-Length: 0\r\n", "1.1", [200, 200]),
        # HTTP/1.0 knows no interim answers.
        (b"Expect: 100-continue\r\n", "1.0", [200]),
        (b"Expect: x\r\n", "1.0", [200]),
        # What would be refused is refused without its body.
        (b"Expect: 100-continue\r\nContent-Length: 1000001\r\n", "1.1", [413]),
        # No other expectation is known.
        (b"Expect: x\r\n", "1.1", [417]),
        (b"Expect: 100-continue, x\r\n", "1.1", [417]),
        (b"Expect: 100-continue\r\nExpect: x\r\n", "1.1", [417]),
        (b"Expect: 100-continue=1\r\n", "1.1", [417]),
    ],
)
def test_10_1_1_expect(
    lasting: Serving, fields: bytes, version: str, expected: list[int], pace: Pace
) -> None:
    assert statuses(address(lasting), request("GET", "/livez", fields, version), pace) == expected


@paces
@pytest.mark.parametrize(
    ("path", "besides"),
    [
        ("/livez", b""),
        ("/api/v1/agents", b""),
        ("/deepstream/ws", UPGRADE),
        ("/socket.io/?EIO=4&transport=websocket", UPGRADE),
        ("/socket.io/?EIO=4&transport=polling", b""),
    ],
)
@pytest.mark.parametrize(
    "fields",
    [
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        b"Authorization: Bearer a\r\nauthorization: Bearer a\r\n",
        b"Authorization:\r\nAuthorization: Bearer a\r\n",
    ],
)
def test_11_6_2_two_authorizations_are_400(
    lasting: Serving, path: str, besides: bytes, fields: bytes, pace: Pace
) -> None:
    assert statuses(address(lasting), request("GET", path, besides + fields), pace) == [400]


def test_15_5_22_the_address_of_a_websocket_says_what_it_speaks(lasting: Serving) -> None:
    answer = first(lasting, request("GET", "/deepstream/ws"))
    assert (answer.status, answer.fields["upgrade"]) == (426, "websocket")
    assert {part.strip() for part in answer.fields["connection"].split(",")} == {"close", "Upgrade"}
