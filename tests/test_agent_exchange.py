"""One HTTP request and its response, and what a Retry-After comes to."""

import math

import pytest

from dscore_agent.exchange import Exchange, retry_after

DATE = "Sun, 29 Nov 2026 10:00:00 GMT"


def test_the_request_is_written_whole() -> None:
    one = Exchange("GET", "/health?a=b", "fleet.test:80", [("accept", "*/*")])
    assert one.request == b"GET /health?a=b HTTP/1.1\r\nhost: fleet.test:80\r\naccept: */*\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
)
def test_a_response_split_at_every_byte_is_the_same(answer: bytes) -> None:
    for split in range(1, len(answer)):
        one = Exchange("GET", "/", "fleet.test")
        parts = (answer[:split], answer[split:], b"")
        found = [one.receive(part, 100) for part in parts[:2]]
        whole = next((response for response in found if response is not None), None)
        whole = whole or one.receive(b"", 100)
        assert whole is not None
        assert (whole.status, whole.body) == (200, b"hello")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed without an answer"),
        (b"nonsense\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"a" * 101, "longer than 100"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000, "no HTTP"),
    ],
)
def test_what_is_no_response_is_an_error(answer: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Exchange("GET", "/", "fleet.test").receive(answer, 100)


@pytest.mark.parametrize(
    ("status", "value", "date", "seconds"),
    [
        (429, "120", None, 120.0),
        (503, " 7 ", None, 7.0),
        (503, "9" * 400, None, math.inf),
        (503, "Sun, 29 Nov 2026 10:02:00 GMT", DATE, 120.0),
        (503, "Sun, 29 Nov 2026 09:00:00 GMT", DATE, 0.0),
        # This machine's clock is not asked: it may be years off.
        (503, "Sun, 29 Nov 2026 10:02:00 GMT", None, None),
        (503, "soon", DATE, None),
        (503, "-1", None, None),
        (503, "1.5", None, None),
        (503, "٣", None, None),
        (503, None, None, None),
        (200, "120", None, None),
        (404, "120", None, None),
    ],
)
def test_reconnect_7_retry_after(
    status: int, value: str | None, date: str | None, seconds: float | None
) -> None:
    assert retry_after(status, value, date) == seconds
