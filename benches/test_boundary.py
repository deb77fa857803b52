"""What does it cost to cross from Rust to Python?

Bursts of messages on an endpoint of the bare core, taken in batches. The other way: test_send.py.
"""

import socket
import time
from contextlib import ExitStack

from benches.ledger import Ledger
from benches.noise import Busy
from dscore import core
from dscore.bench import frames

CONNECTIONS, EACH = 128, 64
"""Messages of each, as a fleet sends them: one peer alone may not be far ahead of Python."""
EVENTS = CONNECTIONS * EACH
ROUNDS, QUICK_ROUNDS = 15, 2
PATIENCE = 30.0


def test_events(ledger: Ledger, quick: bool) -> None:
    config = core.CoreConfig(port=0, reactors=1, endpoints={"/plain": "plain"})
    pool = core.ReactorPool(config)
    pool.start()
    burst = frames.frame(frames.TEXT, b'{"type":"note","data":"%s"}' % (b"x" * 64)) * EACH
    busy, cpu = Busy(), time.process_time()
    try:
        with ExitStack() as stack:
            connections = [stack.enter_context(_plain(pool)) for _ in range(CONNECTIONS)]
            _take(pool, core.Opened, CONNECTIONS)
            times = []
            for _ in range(QUICK_ROUNDS if quick else ROUNDS):
                for connection in connections:
                    connection.sendall(burst)
                times.append(_take(pool, core.Message, EVENTS))
    finally:
        pool.close()
    others = busy.share_of_others(time.process_time() - cpu)
    for taken in times:
        figures = {"event_us": taken / EVENTS * 1e6, "others": others}
        ledger.record(f"Events, {EVENTS:,} in batches", "dscore", figures)


def _plain(pool: core.ReactorPool) -> socket.socket:
    connection = socket.create_connection(pool.address())
    connection.sendall(frames.upgrade("bench", "/plain"))
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    return connection


def _take(pool: core.ReactorPool, kind: type, count: int) -> float:
    """Seconds spent in taking so many events, as the loop does; waiting for them is not counted."""
    deadline = time.monotonic() + PATIENCE
    taken, spent = 0, 0.0
    while taken < count:
        assert time.monotonic() < deadline, f"{taken} of {count} events"
        begun = time.perf_counter()
        batch = pool.take()
        for event in batch:
            assert isinstance(event, kind)
        spent += time.perf_counter() - begun
        taken += len(batch)
        if not batch:
            time.sleep(0.05)  # that there are full batches
    return spent
