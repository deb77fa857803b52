"""TLS under load: handshakes that never end, as many as may be under way, and renewal meanwhile.

What the others notice is the question: an agent that is connected beats all the time.
"""

import asyncio
import json
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority, Files
from fleet import Fleet
from serving import Serving
from tls_clients import agent, ask, dial, get, metric
from waiting import wait_until

Serve = Callable[..., Serving]

BEAT = '{"type":"heartbeat","clientName":"witness"}'
HANDSHAKES = 1_024
"""The default bound."""
FAILURES = "dscore_tls_reload_failures_total"
REFUSED = 'dscore_tls_refused_total{reason="%s"}'


@pytest.fixture
def start(serve: Serve, tls_files: Files) -> Callable[..., tuple[Serving, int]]:
    """Starts a server with these settings; gives it and its port for TLS."""

    def start(*, shared: bool, **settings: str) -> tuple[Serving, int]:
        env = {f"DSCORE_{name}": value for name, value in settings.items()}
        if not shared:
            env["DSCORE_TLS__PORT"] = "0"
        words = ("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))
        serving = serve(*words, env=env)
        port = serving.port if shared else serving.wait_for_log("server_started")["tls_port"]
        return serving, int(port)

    return start


class Shaking:
    """One handshake by hand, whose steps are the test's."""

    def __init__(self, port: int, context: ssl.SSLContext, stack: ExitStack) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.socket = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))

    def hello(self) -> bytes:
        """The first flight, which is not sent yet."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def finish(self) -> bytes:
        """Goes on to the end, and asks for a page."""
        self._through(self._tls.do_handshake)
        self._tls.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.socket.sendall(self._outgoing.read())
        return self._through(self._tls.read)

    def _through(self, step: Callable[[], Any]) -> Any:
        while True:
            with suppress(ssl.SSLWantReadError):
                return step()
            self._read()

    def _read(self) -> None:
        self.socket.sendall(self._outgoing.read())
        received = self.socket.recv(65_536)
        assert received, "the server has ended it"
        self._incoming.write(received)


@contextmanager
def witness(serving: Serving, port: int, context: ssl.SSLContext) -> Iterator[Callable[[], int]]:
    """An agent that beats without a pause, on a loop of its own; gives how many were answered."""
    answered, is_over = 0, threading.Event()
    failures: list[BaseException] = []
    is_in = threading.Event()

    async def beat() -> None:
        nonlocal answered
        async with agent(serving, port, context) as websocket:
            await ask(websocket, '{"type":"app_ready","instance_id":"witness"}')
            is_in.set()
            while not is_over.is_set():
                assert json.loads(await ask(websocket, BEAT))["status"] == "ok"
                answered += 1
                await asyncio.sleep(0.01)

    def run() -> None:
        try:
            asyncio.run(beat())
        except BaseException as error:
            failures.append(error)
        finally:
            is_in.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert is_in.wait(60)
        yield lambda: answered
        # It goes on to the last.
        before = answered
        wait_until(lambda: answered > before + 3 or failures, "the agent's next answers")
    finally:
        is_over.set()
        thread.join(60)
    assert not failures, failures


def test_a_client_that_sends_its_hello_byte_by_byte_ends_in_time(
    start: Callable[..., tuple[Serving, int]], authority: Authority
) -> None:
    context = authority.client_context()
    serving, port = start(shared=False, LIMITS__HANDSHAKE_TIMEOUT="2s")
    with ExitStack() as stack, witness(serving, port, context) as answered:
        slow = [Shaking(port, context, stack) for _ in range(20)]
        hellos = [one.hello() for one in slow]
        for one, hello in zip(slow, hellos, strict=True):
            # A header alone, half of it, and half of the whole.
            for piece in (hello[:3], hello[3:5], hello[5 : len(hello) // 2]):
                one.socket.sendall(piece)
        at = answered()
        # Every byte counts as a sign of life, but for the deadline.
        last = [len(hello) // 2 for hello in hellos]

        def drip() -> bool:
            for number, one in enumerate(slow):
                with suppress(OSError):
                    one.socket.sendall(hellos[number][last[number] : last[number] + 1])
                    last[number] += 1
            return metric(serving, REFUSED % "timeout") >= len(slow)

        wait_until(drip, "the deadline of all")
        for one in slow:
            with suppress(ConnectionError):
                assert one.socket.recv(100) == b""
        wait_until(lambda: metric(serving, "dscore_tls_handshakes_running") == 0, "none left")
        assert answered() > at


@pytest.mark.parametrize("shared", [False, True], ids=["own port", "shared port"])
def test_half_hellos_in_every_place_keep_none_out(
    start: Callable[..., tuple[Serving, int]], authority: Authority, shared: bool
) -> None:
    context = authority.client_context()
    serving, port = start(shared=shared, LIMITS__HANDSHAKE_TIMEOUT="1m")
    with ExitStack() as stack, witness(serving, port, context) as answered:
        half = [Shaking(port, context, stack) for _ in range(HANDSHAKES + 200)]
        at = answered()
        for one in half:
            one.socket.sendall(one.hello()[:200])
        with dial(port, context) as tls:
            assert get(tls, "/livez").startswith(b"HTTP/1.1 200 ")
        assert serving.get("/readyz")[0] == 200
        wait_until(lambda: metric(serving, REFUSED % "crowded") >= 200, "those past the bound")
        assert metric(serving, "dscore_tls_handshakes_running") <= HANDSHAKES
        assert answered() > at


@pytest.mark.parametrize("moment", ["hello", "last flight"])
@pytest.mark.parametrize("shared", [False, True], ids=["own port", "shared port"])
def test_handshakes_that_come_byte_by_byte_in_every_place_keep_none_out(
    start: Callable[..., tuple[Serving, int]], authority: Authority, shared: bool, moment: str
) -> None:
    """Each byte was a sign of life: some connections and a byte a second kept all others out."""
    context = authority.client_context()
    bound = 8
    serving, port = start(shared=shared, LIMITS__HANDSHAKE_TIMEOUT="2m", TLS__HANDSHAKES=str(bound))
    is_over = threading.Event()

    def drip(one: socket.socket, rest: bytes) -> None:
        with suppress(OSError):
            for at in range(len(rest)):
                one.sendall(rest[at : at + 1])
                if is_over.wait(0.2):
                    return

    with ExitStack() as stack:
        slow = [Shaking(port, context, stack) for _ in range(2 * bound)]
        threads = []
        for one in slow:
            hello = one.hello()
            if moment == "last flight":
                one.socket.sendall(hello)
                hello = bytes((22, 3, 3, 2, 0)) + bytes(500)
            threads.append(threading.Thread(target=drip, args=(one.socket, hello)))
            threads[-1].start()
        try:
            with dial(port, context) as tls:
                assert get(tls, "/livez").startswith(b"HTTP/1.1 200 ")
            assert metric(serving, REFUSED % "crowded") >= 1
        finally:
            is_over.set()
            for thread in threads:
                thread.join(60)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True], ids=["own port", "shared port"])
def test_as_many_handshakes_as_may_be_are_under_way_and_all_get_through(
    start: Callable[..., tuple[Serving, int]], authority: Authority, shared: bool
) -> None:
    context = authority.client_context()
    # What waits for its client's last word yields its place after a second, where others want it.
    serving, port = start(shared=shared, LIMITS__HANDSHAKE_TIMEOUT="5m")
    with ExitStack() as stack, witness(serving, port, context) as answered:
        under_way = [Shaking(port, context, stack) for _ in range(HANDSHAKES - 24)]
        for one in under_way:
            one.socket.sendall(one.hello())
        running = "dscore_tls_handshakes_running"
        wait_until(lambda: metric(serving, running) == len(under_way), "all of them")
        at, done = answered(), metric(serving, "dscore_tls_handshakes_total")
        gone, through = under_way[::4], [one for n, one in enumerate(under_way) if n % 4]
        for one in gone:
            one.socket.close()
        for one in through:
            assert one.finish().startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: metric(serving, running) == 0, "the end of all")
        assert metric(serving, "dscore_tls_handshakes_total") == done + len(through)
        assert metric(serving, REFUSED % "gone") == len(gone)
        assert metric(serving, REFUSED % "crowded") == 0
        assert answered() > at


def test_on_a_shared_port_no_more_wait_for_their_turn_than_may_and_probes_get_through(
    start: Callable[..., tuple[Serving, int]], authority: Authority
) -> None:
    context = authority.client_context()
    bound, came = 20, 100
    serving, port = start(shared=True, LIMITS__ACCEPT_RATE="0.5", TLS__HANDSHAKES=str(bound))
    with ExitStack() as stack:
        waiting = [Shaking(port, context, stack) for _ in range(came)]
        for one in waiting:
            one.socket.sendall(one.hello())
        # One may have had a turn, and a second one meanwhile.
        counted = REFUSED % "crowded"
        wait_until(lambda: metric(serving, counted) >= came - bound - 5, "those past the bound")
        for _ in range(5):
            assert 0 < metric(serving, "dscore_tls_handshakes_waiting") <= bound
            assert metric(serving, "dscore_tls_handshakes_running") <= 2 * bound
            assert serving.get("/readyz")[0] == 200
        # Silent ones take no place of those, nor keep a probe out.
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            for _ in range(came)
        ]
        assert serving.get("/readyz")[0] == 200
        assert metric(serving, "dscore_tls_handshakes_waiting") > 0
        assert metric(serving, "dscore_tls_handshakes_running") <= 2 * bound
        assert len(silent) == came


# On a shared port a client is to speak soon: one program that is many clients cannot with all.
@pytest.mark.parametrize(
    ("shared", "at_once"), [(False, 600), (True, 40)], ids=["own port", "shared port"]
)
def test_more_than_the_bound_come_at_once_and_none_is_turned_away(
    start: Callable[..., tuple[Serving, int]],
    authority: Authority,
    start_fleet: Callable[..., Fleet],
    shared: bool,
    at_once: int,
) -> None:
    context = authority.client_context()
    agents = 600
    serving, port = start(shared=shared, TLS__HANDSHAKES="20")
    with witness(serving, port, context) as answered:
        at = answered()
        url = f"wss://127.0.0.1:{port}/deepstream/ws"
        fleet = start_fleet(url, agents=agents, concurrency=at_once, handshake_timeout="60s")
        fleet.wait_until_introduced()
        assert serving.get("/readyz")[0] == 200
        fleet.command("stop")
        report = fleet.report()
        assert (report["introduced"], report["connect_failures"]) == (agents, 0), report
        assert metric(serving, REFUSED % "crowded") == 0
        assert answered() > at


@contextmanager
def storm(port: int, context: ssl.SSLContext) -> Iterator[Callable[[], list[str]]]:
    """Clients that come, ask and go all the time; gives the serial numbers shown, in order."""
    seen: list[str] = []
    failures: list[BaseException] = []
    is_over = threading.Event()

    def come() -> None:
        try:
            while not is_over.is_set():
                with dial(port, context) as tls:
                    assert get(tls, "/livez").startswith(b"HTTP/1.1 200 ")
                    seen.append(str((tls.getpeercert() or {})["serialNumber"]))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(seen) >= 8, "the first of the storm")
        yield lambda: seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join(60)
    assert not failures, failures


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True], ids=["own port", "shared port"])
def test_certificates_are_renewed_under_load_and_no_connection_fails(
    start: Callable[..., tuple[Serving, int]], authority: Authority, tmp_path: Path, shared: bool
) -> None:
    context = authority.client_context()
    serving, port = start(shared=shared)
    with witness(serving, port, context) as answered, storm(port, context) as seen:
        for _ in range(5):
            at = answered()
            renewed = authority.issue("localhost", "127.0.0.1")
            renewed.save(tmp_path)
            serving.process.send_signal(signal.SIGHUP)
            serial = f"{renewed.certificate.serial_number:X}"
            wait_until(
                lambda new=serial: {one.lstrip("0") for one in seen()[-4:]} == {new},
                "the new certificate for all",
            )
            wait_until(lambda before=at: answered() > before, "an answer on the old connection")
    assert metric(serving, FAILURES) == 0


def test_files_that_are_not_fit_change_nothing_under_load(
    start: Callable[..., tuple[Serving, int]],
    authority: Authority,
    tmp_path: Path,
    tls_files: Files,
) -> None:
    context = authority.client_context()
    serving, port = start(shared=False)
    good_key, good = tls_files.key.read_bytes(), tls_files.certificate.read_bytes()
    other = authority.issue("localhost", "127.0.0.1")
    spoilt = [
        lambda: tls_files.key.write_bytes(other.key_pem),
        lambda: tls_files.key.write_bytes(b""),
        lambda: tls_files.certificate.write_bytes(good[: len(good) // 2]),
        tls_files.certificate.unlink,
    ]
    with witness(serving, port, context) as answered, storm(port, context) as seen:
        first = seen()[0]
        for number, spoil in enumerate(spoilt, start=1):
            spoil()
            serving.process.send_signal(signal.SIGHUP)
            wait_until(lambda due=number: metric(serving, FAILURES) == due, "the refusal")
            lines = [line for line in serving.log_lines() if line["event"] == "tls_reload_failed"]
            assert len(lines) == number
            at, beats = len(seen()), answered()
            wait_until(lambda before=at: len(seen()) > before + 8, "more of the storm")
            wait_until(lambda before=beats: answered() > before, "an answer")
            assert set(seen()) == {first}
            tls_files.key.write_bytes(good_key)
            tls_files.certificate.write_bytes(good)
        other.save(tmp_path)
        serving.process.send_signal(signal.SIGHUP)
        wait_until(lambda: seen()[-1] != first, "the mended certificate")
