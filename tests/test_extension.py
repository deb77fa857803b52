"""The extension itself, as a program that embeds nothing but the core uses it."""

import gc
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dscore import _core
from waiting import wait_until

PROGRAMS = 200
"""How often an interpreter ends with a pool running: often enough to meet a race."""


@pytest.fixture
def pool() -> Iterator[_core.ReactorPool]:
    running = _core.ReactorPool(_core.CoreConfig(endpoints={"/plain": "plain", "/raw": "raw"}))
    running.start()
    yield running
    running.close()


def take_one(pool: _core.ReactorPool, kind: type) -> Any:
    """The first event of this kind; those before it are dropped."""

    def find() -> Any:
        return next((event for event in pool.take() if type(event) is kind), None)

    return wait_until(find, kind.__name__)


def has_news(event: Any) -> bool:
    return isinstance(event, _core.LastSeen) and bool(event.conns)


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )


def test_a_setting_out_of_bounds_is_named() -> None:
    for field, value in [
        ("port", 70_000),
        ("max_errors", 0),
        ("ping_interval", 0),
        ("accept_rate", float("nan")),
        ("event_queue", 1),
        ("endpoints", {"raw": "raw"}),
        ("endpoints", {"/raw": "cooked"}),
        ("host", "no such host"),
    ]:
        with pytest.raises(ValueError, match=f"^{field}: "):
            _core.CoreConfig(**{field: value})  # type: ignore[arg-type]


def test_a_port_in_use_is_both_a_core_error_and_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(_core.BindError, match=f"cannot listen on 127.0.0.1:{port}") as raised:
            _core.ReactorPool(_core.CoreConfig(port=port))
    assert isinstance(raised.value, OSError)
    assert isinstance(raised.value, _core.CoreError)


def test_events_name_their_fields() -> None:
    assert _core.Closed.__match_args__[-3:] == ("answer", "heartbeat_ms", "rtt_us")


def test_requests_go_through_and_are_shown_as_they_are(pool: _core.ReactorPool) -> None:
    host, port = pool.address()
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(b"PUT /x%20y?z HTTP/1.1\r\nHost: h\r\nX-Y: 1\r\nContent-Length: 2\r\n\r\nhi")
        request = take_one(pool, _core.HttpRequest)
        assert (request.method, request.target, request.version) == ("PUT", "/x%20y?z", "1.1")
        assert request.headers == [(b"host", b"h"), (b"x-y", b"1"), (b"content-length", b"2")]
        assert (request.body, request.peer) == (b"hi", "127.0.0.1")
        assert "target='/x%20y?z'" in repr(request)
        pool.respond(request.conn, 201, [(b"x-a", b"b")], b"ok")
        status, *fields = client.recv(1000).split(b"\r\n")
        assert status == b"HTTP/1.1 201 Created"
        assert b"x-a: b" in fields


def test_a_reading_of_one_connection_tells_of_no_other(pool: _core.ReactorPool) -> None:
    upgrade = (
        b"GET /raw HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(socket.create_connection(pool.address(), timeout=10))
            client.sendall(upgrade)
            conn = take_one(pool, _core.Opened).conn
        pool.read_last_seen(7, [conn])
        seen = wait_until(lambda: next(filter(has_news, pool.take()), None), "news")
        assert (seen.number, seen.conns) == (7, [conn])


def test_what_may_not_go_over_the_wire_is_a_value_error(pool: _core.ReactorPool) -> None:
    with pytest.raises(ValueError, match="1006 may not be sent"):
        pool.close_connection(1, 1006, "")
    with pytest.raises(ValueError, match="not UTF-8"):
        pool.send(1, b"\xff")
    with pytest.raises(ValueError, match="no error code of the protocol"):
        pool.refuse(1, "nonsense", "")
    with pytest.raises(ValueError, match="serving"):
        pool.set_serving_state("ajar")  # type: ignore[arg-type]


def test_commands_for_a_connection_that_has_gone_are_dropped(pool: _core.ReactorPool) -> None:
    gone = 0x00FF_FFFF_0000_0001
    for conn in (0, 1, gone, 2**64 - 1):
        pool.send(conn, b"{}")
        pool.accept(conn, "a", [b"{}"])
        pool.respond(conn, 200, [], b"")
        pool.close_connection(conn, 1000, "")
        pool.abort(conn)
    request_id = pool.terminate(gone & 0x00FF_FFFF_FFFF_FFFF, 1000)
    outcome = take_one(pool, _core.Outcome)
    assert (outcome.request_id, outcome.outcome) == (request_id, "vanished")


def test_the_descriptor_is_readable_only_while_events_wait(pool: _core.ReactorPool) -> None:
    assert pool.take() == []
    assert select.select([pool.fileno()], [], [], 0)[0] == []
    with socket.create_connection(pool.address(), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert select.select([pool.fileno()], [], [], 10)[0]
        request = take_one(pool, _core.HttpRequest)
        pool.abort(request.conn)
    take_one(pool, _core.HttpGone)
    assert pool.take() == []
    assert select.select([pool.fileno()], [], [], 0)[0] == []


def test_a_closed_pool_refuses_commands_and_closes_once(pool: _core.ReactorPool) -> None:
    pool.close()
    pool.close()
    with pytest.raises(_core.PoolClosedError):
        pool.send(1, b"{}")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(pool.address(), timeout=10)


def test_pools_leave_no_thread_and_no_descriptor() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    gc.collect()
    before = descriptors(), threads()
    for started in [True, False] * 25:
        pool = _core.ReactorPool(_core.CoreConfig(reactors=2))
        if started:
            pool.start()
            with socket.create_connection(pool.address(), timeout=10):
                pool.close()
        del pool
    gc.collect()
    wait_until(lambda: (descriptors(), threads()) == before, "descriptors and threads as before")


def test_commands_may_come_from_any_thread(pool: _core.ReactorPool) -> None:
    def command() -> None:
        for _ in range(5000):
            pool.send(1, b"{}")

    threads = [threading.Thread(target=command) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a full command queue must never block for good"


def test_a_pool_in_a_forked_child_says_so_and_the_parents_lives_on(pool: _core.ReactorPool) -> None:
    child = run(
        """
        import os, socket
        from dscore import _core
        pool = _core.ReactorPool(_core.CoreConfig())
        pool.start()
        pid = os.fork()
        if pid == 0:
            try:
                pool.take()
            except _core.ForkedError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        with socket.create_connection(pool.address()):
            print("the parent serves on")
        """
    )
    assert "make a pool of your own" in child.stdout, child.stderr
    assert "the parent serves on" in child.stdout, child.stderr


def test_an_interpreter_that_ends_with_a_pool_running_neither_hangs_nor_crashes() -> None:
    """Tried 200 times, inside few processes: what matters is the end of an interpreter."""
    program = textwrap.dedent(
        """
        import socket, sys
        from dscore import _core
        pool = _core.ReactorPool(_core.CoreConfig(reactors=2))
        pool.start()
        client = socket.create_connection(pool.address())
        client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        sys.exit(7)
        """
    )
    command = [sys.executable, "-S", "-c", program]
    at_once = 4
    for _ in range(PROGRAMS // at_once):
        running = [
            subprocess.Popen(command, stderr=subprocess.PIPE, env=env()) for _ in range(at_once)
        ]
        for one in running:
            _, errors = one.communicate(timeout=30)
            assert (one.returncode, errors) == (7, b"")


def env() -> dict[str, str]:
    """Without `site`, which takes most of an interpreter's start: the package is found by hand."""
    package = os.path.dirname(os.path.dirname(_core.__file__))
    return {**os.environ, "PYTHONPATH": package}


def test_the_wheel_fires_in_order_and_forgets_what_was_cancelled() -> None:
    wheel: _core.Wheel[str] = _core.Wheel(1000)
    late, soon = wheel.arm(5000, "late"), wheel.arm(2000, "soon")
    gone = wheel.arm(3000, "gone")
    assert len(wheel) == 3
    assert wheel.cancel(gone) == "gone"
    assert wheel.cancel(gone) is None
    next_at = wheel.next_expiration()
    assert next_at is not None
    assert next_at <= 2000
    assert wheel.advance(1999) == []
    assert wheel.advance(6000) == ["soon", "late"]
    assert wheel.cancel(soon) is None
    assert wheel.cancel(late) is None
    assert (len(wheel), wheel.next_expiration()) == (0, None)


def test_the_wheel_lets_go_of_its_values() -> None:
    class Value:
        pass

    wheel: _core.Wheel[Value] = _core.Wheel(0)
    cancelled, fired, left = Value(), Value(), Value()
    watched = [weakref.ref(value) for value in (cancelled, fired, left)]
    key = wheel.arm(20, cancelled)
    wheel.arm(10, fired)
    wheel.arm(30, left)
    wheel.cancel(key)
    wheel.advance(10)
    del cancelled, fired, left
    gc.collect()
    assert [ref() is None for ref in watched] == [True, True, False]
    del wheel
    gc.collect()
    assert watched[2]() is None
