"""What earlier processes have left, taken up; and what is too much to remember."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dscore.log import get_logger
from dscore.policy.liveness import ONLINE_STATES
from dscore.server.live import Live
from dscore.store import Minute

_log = get_logger("dscore.store")


async def restore(live: Live) -> tuple[Minute, ...]:
    """Takes up what an earlier process has left: agents that were online are given time to come
    back, and sessions are theirs when they do (PROTOCOL.md §5.5, §7).

    Returns:
        The fleet's history.

    Raises:
        StoreError: it cannot be read.
    """
    began = time.monotonic()
    with _no_collections():
        loaded = await live.store.start(live.times.offsets)
        live.times.restore(loaded.alive_at)
        fleet, age = live.fleet, live.age()
        fleet.restore(
            loaded.agents,
            last_entry=loaded.last_entry,
            age=age,
            now=live.pool.now_ms(),
            times=live.times.offsets(),
        )
        for message in loaded.messages:
            fleet.restore_message(*message)
        _resume_sessions(live, age, is_first=loaded.alive_at is None)
        drop_configs(live)
    if loaded.alive_at is not None:
        _log.info(
            "fleet_restored",
            agents=len(loaded.agents),
            online=sum(one.state in ONLINE_STATES for one in loaded.agents),
            sessions=fleet.sessions()[0],
            seconds=round(time.monotonic() - began, 3),
        )
    return tuple(loaded.history)


@contextmanager
def _no_collections() -> Iterator[None]:
    """A fleet is a million objects and no garbage: looking for it takes a third of the start."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def drop_configs(live: Live) -> None:
    """Forgets the configs of those that have been away longest, if all of them take more than they
    may."""
    records = live.fleet.drop_configs(live.config.limits.absent_bytes)
    if not records:
        return
    live.counters.configs_dropped_total += len(records)
    _log.warning("configs_dropped", agents=len(records), agent_id=records[0].agent_id)


def _resume_sessions(live: Live, age: int, *, is_first: bool) -> None:
    """No agent could come back while there was no server: one whose session had not run out by then
    has all of `session.ttl` from now on."""
    if not is_first:
        live.fleet.expire_sessions(age - round(live.config.session.ttl * 1000))
    live.fleet.resume_sessions(age)
    live.store.changed()
