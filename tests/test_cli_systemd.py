"""sd_notify, of server and agent, with a real datagram socket in the manager's place."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dscore_agent.cli.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"\0dscore-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(30.0)
        yield manager


def environ(manager: socket.socket, **more: str) -> dict[str, str]:
    name = manager.getsockname()
    address = "@" + name[1:].decode() if isinstance(name, bytes) else name
    return {"NOTIFY_SOCKET": address, **more}


def test_each_state_is_one_datagram(manager: socket.socket) -> None:
    notifier = Notifier(environ(manager))
    notifier.ready()
    notifier.status("Serving")
    notifier.watchdog()
    notifier.stopping()
    got = [manager.recv(100) for _ in range(4)]
    assert got == [b"READY=1", b"STATUS=Serving", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_reload_has_its_moment_and_an_end(manager: socket.socket) -> None:
    notifier = Notifier(environ(manager))
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    first, second = manager.recv(100).decode().splitlines()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_more_time_is_asked_for_in_microseconds(manager: socket.socket) -> None:
    Notifier(environ(manager)).extend_timeout(1.5)
    assert manager.recv(100) == b"EXTEND_TIMEOUT_USEC=1500000"


def test_the_watchdog_is_fed_twice_in_its_time(manager: socket.socket) -> None:
    assert Notifier(environ(manager, WATCHDOG_USEC="3000000")).watchdog_interval == 1.5
    pid = str(os.getpid())
    both = environ(manager, WATCHDOG_USEC="500000", WATCHDOG_PID=pid)
    assert Notifier(both).watchdog_interval == 0.25


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_where_none_is_wanted(manager: socket.socket, more: dict[str, str]) -> None:
    assert Notifier(environ(manager, **more)).watchdog_interval is None


@pytest.mark.parametrize("address", ["", "/no/such/socket", "relative", "vsock:1:2"])
def test_no_manager_is_no_error(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    notifier.ready()
    notifier.stopping()


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": deaf.getsockname()})
        for _ in range(2000):
            notifier.watchdog()
