"""The default agent id: the same after a restart, another one on the next machine."""

import contextlib
import hashlib
import socket
import uuid
from collections.abc import Sequence
from pathlib import Path

_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_HOST_LENGTH = 100


def default_instance_id(
    hostname: str | None = None, machine_ids: Sequence[Path] = _MACHINE_IDS
) -> str:
    """The host's name and eight digits made of its machine id."""
    host = (hostname or socket.gethostname() or "agent")[:_HOST_LENGTH]
    # Hashed: machine-id(5) asks not to show the id itself to others.
    digest = hashlib.sha256(f"dscore-agent:{_machine_id(machine_ids)}".encode()).hexdigest()
    return f"{host}-{digest[:8]}"


def _machine_id(paths: Sequence[Path]) -> str:
    for path in paths:
        with contextlib.suppress(OSError):
            if text := path.read_text().strip():
                return text
    # Containers often have none of the files, but an address of their own.
    return f"{uuid.getnode():012x}"
