"""Telling systemd how a service is (sd_notify), where it wants to know: the agent, and the server
of `dscore serve`."""

import os
import socket
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends the service manager's datagrams; does nothing where there is no manager.

    A message that cannot be sent is dropped: a manager that is gone must not stop the service.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        # One socket from the start: when descriptors have run out, and the watchdog's message
        # matters most, no other could be opened. Not connected: a manager that starts anew is
        # reached at the same address.
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = _datagram_socket()
            weakref.finalize(self, self._socket.close)
        self.watchdog_interval = None if self._address is None else _interval(environ)
        """Seconds between two calls of `watchdog`; None: the manager expects none."""

    def ready(self) -> None:
        """The service is up: the server takes agents, the agent has begun to connect."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` ends it (sd_notify(3), "RELOADING=1")."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def extend_timeout(self, seconds: float) -> None:
        """Asks for more time to start or to stop, counted from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def stopping(self) -> None:
        """The service ends: the server drains, the agent stops."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """The loop turns."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for people, shown by `systemctl status`."""
        self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if self._socket is not None and self._address is not None:
            with suppress(OSError):
                self._socket.sendto(message.encode(), self._address)


def _datagram_socket() -> socket.socket:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # no child inherits it: PEP 446
    sender.setblocking(False)
    return sender


def _address(value: str) -> str | None:
    # "@" stands for the zero byte that begins an abstract name (sd_notify(3)).
    if value.startswith("@"):
        return "\0" + value[1:]
    return value if value.startswith("/") else None


def _interval(environ: Mapping[str, str]) -> float | None:
    """Half of the manager's patience, as sd_watchdog_enabled(3) advises."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        patience = int(environ.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return None
    return patience / 2 if patience > 0 else None
