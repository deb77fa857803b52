"""The agent without a pipeline where nothing is that only Linux has: macOS, which no test can have.

What macOS lacks of Python's standard library is taken away before the program begins, and
`sys.platform` says where it is.
"""

from pathlib import Path

from agent_program import programs
from serving import Serving

TAKEN_AWAY = """
import asyncio, fcntl, os, resource, select, selectors, signal, socket, subprocess, sys, time
# Where these are looks at the platform once, for what this machine does not have.
import ctypes, multiprocessing, ssl, urllib.request, uuid

LINUX = {
    os: "copy_file_range eventfd getrandom memfd_create pidfd_open sched_getaffinity splice",
    resource: "prlimit",
    select: "epoll",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "AF_NETLINK AF_PACKET AF_VSOCK SO_PASSCRED SO_PEERCRED SOCK_CLOEXEC SOCK_NONBLOCK "
    "TCP_USER_TIMEOUT TCP_KEEPIDLE TCP_QUICKACK",
    time: "CLOCK_BOOTTIME CLOCK_TAI",
}
for module, names in LINUX.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
selectors.DefaultSelector = selectors.PollSelector
sys.platform = "darwin"
"""


def test_it_runs_and_stops_as_asked_without_what_only_linux_has(
    lasting: Serving, tmp_path: Path
) -> None:
    place = tmp_path / "macos"
    place.mkdir()
    (place / "sitecustomize.py").write_text(TAKEN_AWAY)
    with programs(tmp_path, alone=True) as start:
        one = start("--url", lasting.ws, "--instance-id", "mac", PYTHONPATH=str(place))
        one.said("connected")
        status, body = lasting.request("POST", "/api/v1/agents/mac/terminate", {})
        assert status == 200, body
        assert one.wait() == 0, one.log
        assert one.said("terminated")["status"] == "OK"
