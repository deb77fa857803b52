"""Telling systemd how the server is (sd_notify), where it wants to know."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends the service manager's datagrams; does nothing where there is no manager.

    A message that cannot be sent is dropped: a manager that is gone must not stop the fleet.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval = None if self._address is None else _interval(environ)
        """Seconds between two calls of `watchdog`; None: the manager expects none."""

    def ready(self) -> None:
        """The server takes agents."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The drain has begun."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """The loop turns."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for people, shown by `systemctl status`."""
        self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except OSError:
            pass


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
