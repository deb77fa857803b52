"""What a supervisor gives for the shutdown, and what the configuration asks for: named at the
start, not found at the end."""

import os

from dscore.config import ShutdownConfig
from dscore.log import get_logger
from dscore.policy.deadline import REMEDY, needed, short_of

CONTAINER_SECONDS = 10
"""What `docker stop` gives."""

_log = get_logger("dscore.serve")


def seconds(shutdown: ShutdownConfig) -> float:
    """How long the shutdown takes at most."""
    longest = needed(shutdown)
    return longest if shutdown.deadline is None else min(longest, shutdown.deadline)


def warn(shutdown: ShutdownConfig) -> None:
    """Names what would be cut; and to a container's first process, that it knows no deadline."""
    settings = short_of(shutdown)
    if settings:
        _log.warning(
            "shutdown_deadline_short",
            deadline=shutdown.deadline,
            needed=needed(shutdown),
            settings=settings,
            remedy=REMEDY,
        )
    elif os.getpid() == 1 and shutdown.deadline is None and needed(shutdown) > CONTAINER_SECONDS:
        _log.warning(
            "shutdown_deadline_unknown",
            needed=needed(shutdown),
            remedy="set shutdown.deadline to what stops the container allows before SIGKILL",
        )
