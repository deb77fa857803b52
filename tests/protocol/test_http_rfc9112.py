"""RFC 9112, HTTP/1.1, by its sections: literal requests to the real program, in two paces.

Every request is followed by another one (see `answers`): what a bad request leaves behind is never
taken for a request, and what a good one leaves is. The cases of the two public h1spec suites are
among these.
"""

import pytest

from http_wire import PACES, Line, Pace, answers, statuses
from serving import Serving

OK = [200, 200]
"""It was answered, and so was what followed on the same connection."""


def address(serving: Serving) -> tuple[str, int]:
    return serving.host, serving.port


def readable(value: object) -> str | None:
    return ascii(value)[2:70] if isinstance(value, bytes) else None


def cases(*rows: tuple[bytes, list[int]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("request_", "expected"), rows, ids=readable)


paces = pytest.mark.parametrize("pace", PACES)


def get(*lines: bytes, target: bytes = b"/livez") -> bytes:
    """A GET with these lines besides."""
    fields = b"".join(line + b"\r\n" for line in (b"Host: localhost", *lines))
    return b"GET " + target + b" HTTP/1.1\r\n" + fields + b"\r\n"


@paces
@cases(
    # An empty line before the request is passed over, as old clients leave one behind a body.
    (b"\r\n" + get(), OK),
    (b"\r\n\r\n\r\n" + get(), OK),
    (get(b"Content-Length: 2") + b"xx\r\n" + get(), [200, 200, 200]),
    # Nothing but CRLF ends a line, and CR stands nowhere else.
    (b"\n" + get(), [400]),
    (b"GET /livez HTTP/1.1\nHost: h\n\n", [400]),
    (b"GET /livez HTTP/1.1\r\nHost: h\n\r\n", [400]),
    (b"GET /livez HTTP/1.1\r\nHost: h\r\n\n", [400]),
    (get(b"A: b\rC: d"), [400]),
    (b"GET /livez HTTP/1.1\r\nHost: h\r\n\rSome: x\r\n\r\n", [400]),
    (b"GET /livez HTTP/1.1\r\nHost: h\r\r\n\r\n", [400]),
    (b"GET /li\rvez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    # White space between the start line and the first field.
    (b"GET /livez HTTP/1.1\r\n Host: h\r\n\r\n", [400]),
    (b"GET /livez HTTP/1.1\r\n\tX: y\r\nHost: h\r\n\r\n", [400]),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", [400]),
)
def test_2_2_message_parsing(
    lasting: Serving, request_: bytes, expected: list[int], pace: Pace
) -> None:
    assert statuses(address(lasting), request_, pace) == expected


@paces
@cases(
    (b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", OK),
    # RFC 9110 §2.5: a higher minor version is read as the highest that is known.
    (b"GET /livez HTTP/1.2\r\nHost: h\r\n\r\n", OK),
    (b"GET /livez HTTP/1.9\r\nHost: h\r\n\r\n", OK),
    (b"GET /livez HTTP/1.2\r\n\r\n", [400]),
    (b"GET /livez HTTP/1.2\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OK),
    (b"GET /livez HTTP/1.0\r\n\r\n", [200]),
    # Other major versions.
    (b"GET /livez HTTP/2.0\r\nHost: h\r\n\r\n", [505]),
    (b"GET /livez HTTP/9.9\r\nHost: h\r\n\r\n", [505]),
    (b"GET /livez HTTP/0.9\r\nHost: h\r\n\r\n", [505]),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
    # None at all: HTTP/0.9, or noise.
    (b"GET /livez\r\n\r\n", [400]),
    (b"GET /livez \r\n\r\n", [400]),
    (b"GET /livez HTTP\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez HTTP/1\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez HTTP/1.10\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez HTTP/01.1\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez HTTP/1.x\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez http/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez ABCD/1.1\r\nHost: h\r\n\r\n", [400]),
)
def test_2_3_http_version(
    lasting: Serving, request_: bytes, expected: list[int], pace: Pace
) -> None:
    assert statuses(address(lasting), request_, pace) == expected


@paces
@cases(
    (b" GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"GET  /livez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez  HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"GET /livez HTTP/1.1 \r\nHost: h\r\n\r\n", [400]),
    (b"GET\t/livez\tHTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"GET /li vez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"GET HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"/livez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"Extra lineGET /livez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"G(T /livez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"G\xc3\xa9T /livez HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
)
def test_3_request_line(lasting: Serving, request_: bytes, expected: list[int], pace: Pace) -> None:
    assert statuses(address(lasting), request_, pace) == expected


def host(*values: bytes, version: bytes = b"1.1") -> bytes:
    fields = b"".join(b"Host: " + value + b"\r\n" for value in values)
    return b"GET /livez HTTP/" + version + b"\r\n" + fields + b"\r\n"


@paces
@cases(
    (host(), [400]),
    (host(b"a", b"a"), [400]),
    (host(b"a", b"b"), [400]),
    (host(b"a", b"b", version=b"1.0"), [400]),
    (host(version=b"1.0"), [200]),
    # A value that is no host and port.
    (host(b"a b"), [400]),
    (host(b"a/b"), [400]),
    (host(b"a?b"), [400]),
    (host(b"u@a"), [400]),
    (host(b"a, b"), [400]),
    (host(b"\xe9"), [400]),
    (host(b"a:b"), [400]),
    (host(b"a:8765x"), [400]),
    (host(b"a:-1"), [400]),
    (host(b"a:99999"), [400]),
    (host(b"a:1:2"), [400]),
    (host(b"::1"), [400]),
    (host(b"[::1"), [400]),
    (host(b"[::1]x"), [400]),
    (host(b"[]"), [400]),
    (host(b"[not an address]"), [400]),
    (host(b"a%zz"), [400]),
    (host(b"lo\x00cal"), [400]),
    # Values that are. An empty one says that the target has no authority.
    (host(b""), OK),
    (host(b"h"), OK),
    (host(b"H.Example"), OK),
    (host(b"h:"), OK),
    (host(b"h:80"), OK),
    (host(b"127.0.0.1:8765"), OK),
    (host(b"[::1]"), OK),
    (host(b"[2001:db8::1]:8765"), OK),
    (host(b"a%20b"), OK),
    (host(b"a-b_c~d.e"), OK),
)
def test_3_2_host(lasting: Serving, request_: bytes, expected: list[int], pace: Pace) -> None:
    assert statuses(address(lasting), request_, pace) == expected


@paces
@cases(
    # §3.2.1 origin-form
    (get(target=b"/livez?x=/y?z"), OK),
    (get(target=b"/livez?"), OK),
    (get(target=b"livez"), [400]),
    (get(target=b"/livez#x"), [400]),
    (get(target=b"/\xc3\xa9"), [400]),
    # §3.2.2 absolute-form: the target's authority counts, whatever Host says.
    (get(target=b"http://h/livez"), OK),
    (get(target=b"HTTP://H:80/livez?x"), OK),
    (get(target=b"http://other/livez"), OK),
    (get(target=b"https://h/livez"), OK),
    (b"GET http://h/livez HTTP/1.0\r\n\r\n", [200]),
    (b"GET http://h/livez HTTP/1.1\r\n\r\n", [400]),
    (get(b"Host: i", target=b"http://h/livez"), [400]),
    (get(target=b"http:///livez"), [400]),
    (get(target=b"http://u@h/livez"), [400]),
    (get(target=b"http://h:x/livez"), [400]),
    (get(target=b"ftp://h/livez"), [400]),
    # §3.2.3 authority-form: this is no proxy.
    (b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", [501]),
    (get(target=b"h:80"), [400]),
    # §3.2.4 asterisk-form
    (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", [204, 200]),
    (b"OPTIONS * HTTP/1.0\r\n\r\n", [204]),
    (get(target=b"*"), [400]),
    (b"OPTIONS */ HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
)
def test_3_2_request_target(
    lasting: Serving, request_: bytes, expected: list[int], pace: Pace
) -> None:
    assert statuses(address(lasting), request_, pace) == expected


@paces
@cases(
    (b"GET /livez HTTP/1.1\r\nHost:h\r\nA:\r\nB: \r\nhOsT2:\tx \t \r\n\r\n", OK),
    (get(b"X-Obs: \xe9\xff"), OK),
    (get(b"X: " + b"x" * 9_000), OK),
    (get(b"Host : h"), [400]),
    (get(b"A : b"), [400]),
    (get(b"A\t: b"), [400]),
    (get(b": b"), [400]),
    (get(b"A"), [400]),
    (get(b"Bad Name: x"), [400]),
    (get(b"X-Invalid[]: x"), [400]),
    (get(b"\xc3\xa9: x"), [400]),
    (get(b"A: b\x07"), [400]),
    (get(b"A: b\x00c"), [400]),
    (get(b"A: b\x7f"), [400]),
    # §5.2: obsolete line folding.
    (get(b"A: b", b" c"), [400]),
    (get(b"A: b", b"\tc: d"), [400]),
    (get(b"A: b", b" "), [400]),
    # Too much of it.
    (get(*[b"X: y"] * 101), [431]),
    (get(b"X: " + b"x" * 17_000), [431]),
    (get(target=b"/" + b"a" * 17_000), [431]),
)
def test_5_field_syntax(lasting: Serving, request_: bytes, expected: list[int], pace: Pace) -> None:
    assert statuses(address(lasting), request_, pace) == expected


CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"


def coded(*codings: bytes, version: bytes = b"1.1", body: bytes = CHUNKED) -> bytes:
    fields = b"".join(b"Transfer-Encoding: " + coding + b"\r\n" for coding in codings)
    return b"GET /livez HTTP/" + version + b"\r\nHost: h\r\n" + fields + b"\r\n" + body


@paces
@cases(
    (coded(b"chunked"), OK),
    (coded(b"Chunked"), OK),
    # RFC 9110 §5.6.1.2: empty elements of a list are passed over.
    (coded(b", chunked ,"), OK),
    # Chunked, but first something that is not understood.
    (coded(b"gzip, chunked"), [501]),
    (coded(b"gzip", b"chunked"), [501]),
    (coded(b"identity, chunked"), [501]),
    (coded(b"x;y=z, chunked"), [501]),
    # §6.3: where chunked is not the last coding the end of the body cannot be known.
    (coded(b"chunked, gzip"), [400]),
    (coded(b"chunked", b"gzip"), [400]),
    (coded(b"gzip"), [400]),
    (coded(b"identity"), [400]),
    (coded(b"nonsense"), [400]),
    (coded(b"xchunked"), [400]),
    (coded(b"chunkedx"), [400]),
    (coded(b'"chunked"'), [400]),
    (coded(b"chunked;a=b"), [400]),
    (coded(b"gzip;chunked"), [400]),
    (coded(b""), [400]),
    (coded(b","), [400]),
    (coded(b"\x0bchunked"), [400]),
    # §7: never twice.
    (coded(b"chunked, chunked"), [400]),
    (coded(b"chunked", b"chunked"), [400]),
    (coded(b"chunked, gzip, chunked"), [400]),
    # HTTP/1.0 has none.
    (coded(b"chunked", version=b"1.0"), [400]),
    (coded(b"gzip, chunked", version=b"1.0"), [400]),
    # Beside a length: what smuggling lives on.
    (get(b"Transfer-Encoding: chunked", b"Content-Length: 5") + CHUNKED, [400]),
    (get(b"content-LengtH: 15", b"TransFer-Encoding: chunked") + CHUNKED, [400]),
    (get(b"Transfer-Encoding: x", b"Content-Length: 5") + b"hello", [400]),
    (get(b"Transfer-Encoding : chunked") + CHUNKED, [400]),
)
def test_6_1_transfer_encoding(
    lasting: Serving, request_: bytes, expected: list[int], pace: Pace
) -> None:
    assert statuses(address(lasting), request_, pace) == expected


def long(*values: bytes, body: bytes = b"hello") -> bytes:
    return get(*(b"Content-Length: " + value for value in values)) + body


@paces
@cases(
    (long(b"5"), OK),
    (long(b"005"), OK),
    (long(b"0", body=b""), OK),
    (long(b"+5"), [400]),
    (long(b"-5"), [400]),
    (long(b"-123456789123456789123456789"), [400]),
    (long(b"5 5"), [400]),
    (long(b"0x5"), [400]),
    (long(b"5.0"), [400]),
    (long(b"xyz"), [400]),
    (long(b""), [400]),
    (long(b"\xb2"), [400]),
    (long(b"99999999999999999999999999"), [400]),
    # RFC 9110 §8.6: several are an attack, or a fault; none of them is chosen.
    (long(b"5", b"7"), [400]),
    (long(b"5", b"5"), [400]),
    (long(b"5, 5"), [400]),
    (long(b"5, 7"), [400]),
    # More than is taken is refused before it is read.
    (long(b"1000001", body=b""), [413]),
)
def test_6_2_content_length(
    lasting: Serving, request_: bytes, expected: list[int], pace: Pace
) -> None:
    assert statuses(address(lasting), request_, pace) == expected


def chunks(body: bytes) -> bytes:
    return coded(b"chunked", body=body)


@paces
@cases(
    (chunks(b"0\r\n\r\n"), OK),
    (chunks(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), OK),
    (chunks(b"0000a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n"), OK),
    (chunks(b"c\r\nHellO world1\r\n0\r\n\r\n"), OK),
    # §7.1.1: extensions mean nothing here, with bad white space before them or not.
    (chunks(b'5;a\r\nhello\r\n0;b=c;d="e; f"\r\n\r\n'), OK),
    (chunks(b"5 ;a\r\nhello\r\n0\t ; b\r\n\r\n"), OK),
    (chunks(b"5 \r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b" 5\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"5;a\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"5;" + b"a" * 5_000 + b"\r\nhello\r\n0\r\n\r\n"), [400]),
    # §7.1.2: trailer fields are checked, and dropped.
    (chunks(b"5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 7\r\n\r\n"), OK),
    (chunks(b"0\r\nX : y\r\n\r\n"), [400]),
    (chunks(b"0\r\nX\r\n\r\n"), [400]),
    (chunks(b"0\r\nX: y\r\n z\r\n\r\n"), [400]),
    (chunks(b"0\r\nX: " + b"y" * 5_000 + b"\r\n\r\n"), [431]),
    # Sizes and ends.
    (chunks(b"Z\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"0x5\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"-5\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"+5\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"5\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"5\r\nhello0\r\n\r\n"), [400]),
    (chunks(b"5\r\nhello\n0\r\n\r\n"), [400]),
    (chunks(b"4\r\nhello\r\n0\r\n\r\n"), [400]),
    (chunks(b"f4241\r\n"), [413]),
    (chunks(b"fffffffffffffffff\r\n"), [413]),
    (chunks(b"0" * 5_000 + b"\r\n\r\n"), [400]),
)
def test_7_1_chunked(lasting: Serving, request_: bytes, expected: list[int], pace: Pace) -> None:
    assert statuses(address(lasting), request_, pace) == expected


@pytest.mark.parametrize(
    "part",
    [
        b"GET /livez HTT",
        b"GET /livez HTTP/1.1\r\nHost: h\r\n",
        b"GET /livez HTTP/1.1\r\nHost: h\r\n\r",
        get(b"Content-Length: 5") + b"hell",
        chunks(b"5\r\nhello\r\n0\r\n"),
    ],
    ids=readable,
)
def test_8_a_request_that_breaks_off_is_told_so(lasting: Serving, part: bytes) -> None:
    with Line(*address(lasting)) as line:
        line.send(part)
        line.end()
        answer = line.answer()
        assert answer is not None
        assert (answer.status, answer.fields["connection"]) == (400, "close")
        assert line.answer() is None


@pytest.mark.parametrize("length", range(1, len(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")))
def test_8_a_part_of_a_request_is_waited_for(lasting: Serving, length: int) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Line(*address(lasting)) as line:
        line.send(request[:length])
        line.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            line.socket.recv(1)
        line.socket.settimeout(10)
        line.send(request[length:])
        answer = line.answer()
        assert answer is not None
        assert answer.status == 200


@paces
@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "Close", False),
        ("1.1", "x, close", False),
        ("1.1", "keep-alive, close", False),
        ("1.1", "closed", True),
        ("1.2", None, True),
        ("1.0", None, False),
        ("1.0", "close", False),
        ("1.0", "keep-alive", True),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_9_3_persistence(
    lasting: Serving, version: str, connection: str | None, stays: bool, pace: Pace
) -> None:
    field = f"Connection: {connection}\r\n" if connection else ""
    request = f"GET /livez HTTP/{version}\r\nHost: h\r\n{field}\r\n".encode()
    found = answers(address(lasting), request, pace)
    assert [answer.status for answer in found] == ([200, 200] if stays else [200])
    assert found[0].fields["connection"] == ("keep-alive" if stays else "close")
    assert found[-1].fields["connection"] == "close"


@paces
def test_9_3_2_pipelined_requests_are_answered_in_their_order(lasting: Serving, pace: Pace) -> None:
    requests = [
        (b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", "GET", 200),
        (b"HEAD /deepstream/health HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD", 200),
        (get(b"Content-Length: 5") + b"hello", "GET", 200),
        (b"DELETE /livez HTTP/1.1\r\nHost: h\r\n\r\n", "DELETE", 405),
        (chunks(b"5\r\nhello\r\n0\r\n\r\n"), "GET", 200),
        (get(target=b"/nothing"), "GET", 404),
        (b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD", 200),
    ]
    with Line(*address(lasting)) as line:
        line.send(b"".join(request for request, _, _ in requests), pace)
        for _, method, status in requests:
            answer = line.answer(method)
            assert answer is not None
            assert answer.status == status


def test_9_3_2_what_follows_a_refused_request_is_not_looked_at(lasting: Serving) -> None:
    assert statuses(address(lasting), get() + b"nonsense\r\n\r\n" + get()) == [200, 400]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (get(), [200]),
        (b"GET /livez HTTP/1.0\r\n\r\n", [200]),
        (get(b"Connection: close"), [200]),
        (get(b"Content-Length: 5") + b"hello", [200]),
        (chunks(CHUNKED), [200]),
        (get() + get(target=b"/nothing") + get(), [200, 404, 200]),
        (get() + b"GET /liv", [200, 400]),
        (get(target=b"/socket.io/?EIO=4&transport=polling"), [200]),
        (get(target=b"/deepstream/ws"), [426]),
        (b"nonsense\r\n\r\n", [400]),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 17_000, [431]),
    ],
    ids=readable,
)
@paces
def test_9_6_a_client_that_only_ends_its_side_gets_its_answers(
    lasting: Serving, request_: bytes, expected: list[int], pace: Pace
) -> None:
    with Line(*address(lasting)) as line:
        line.send(request_, pace)
        line.end()
        found = []
        while (answer := line.answer()) is not None:
            found.append(answer.status)
    assert found == expected
