"""What the fleet lets in by itself, and how an app_ready is acknowledged.

An introduction that is not to be judged meets no decision of Python's: the fleet takes the agent
in, opens its session and has it told, with the acks that stand here. (A heartbeat that introduces
is answered by the core, as every other one.)
"""

from functools import cache
from typing import TYPE_CHECKING

from dscore.messages import AppReadyAck, ReconnectionAck

if TYPE_CHECKING:
    from dscore._core import Fleet
    from dscore.config import Config


def admit(fleet: "Fleet", config: "Config", *, is_open: bool) -> None:
    """
    Args:
        is_open: agents are let in, and none is asked for a token or judged by the policy.
    """
    fleet.admit(
        is_open=is_open,
        session_ttl_ms=round(config.session.ttl * 1000),
        app_ready=app_ready_ack(config, restored=False),
        reconnection=(ReconnectionAck(False).dump(), ReconnectionAck(True).dump()),
    )


def app_ready_ack(config: "Config", *, restored: bool) -> bytes | None:
    """The ack of an app_ready that is no reconnection; None: it has none."""
    if not config.compat.app_ready_ack:
        return None
    return _app_ready_ack(restored, config.monitoring.health_check_interval)


@cache
def _app_ready_ack(restored: bool, interval: float) -> bytes:
    """A fleet that connects is told the same thousands of times."""
    return AppReadyAck(restored, round(interval * 1000)).dump()
