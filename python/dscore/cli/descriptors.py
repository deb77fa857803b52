"""The limit on descriptors, of which each agent takes one: raised as far as it goes, and named
where that is not far."""

import os
import resource

from dscore import _core, log
from dscore.config import Config

SMALL = 4096
"""A limit below this is named at start: it is a default that was left as it is, and no fleet's."""

_OPEN = "/proc/self/fd"

_log = log.get_logger("dscore.serve")


def raise_limit() -> None:
    """Takes what the hard limit allows; the usual soft one is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        _log.warning("descriptor_limit_kept", reason=str(error))


def warn_if_few(config: Config) -> None:
    """Says how many agents a small limit allows, and what to do about it."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    agents, wanted = _agents_allowed(limit), config.limits.connections
    if limit < SMALL if wanted is None else agents < wanted:
        _log.warning(
            "descriptor_limit_small",
            limit=limit,
            agents=agents,
            connections=wanted,
            remedy="raise the limit: LimitNOFILE= in the unit of the service, or ulimit -n",
        )


def _agents_allowed(limit: int) -> int:
    allowed = _core.CoreConfig().max_connections
    # Half of what is kept back still takes those that come to be turned away.
    spare = (limit - allowed) // 2
    return max(1, min(allowed, limit - spare - len(os.listdir(_OPEN))))
