"""Agents on their way to the store, and back after a restart."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dscore.log import get_logger
from dscore.server.context import Context
from dscore.store import Kept, Minute, StoredAgent

if TYPE_CHECKING:
    from dscore._core import AgentRow

_log = get_logger("dscore.store")


def keep(context: Context, record: "AgentRow", now: int, *, is_heard: bool = False) -> None:
    """Remembers an agent as it is now. Called after every change but those that are read in bulk.

    Args:
        is_heard: something came from it just now.
    """
    store = context.store
    if not store.keeps_agents:
        return
    unix_ms, last = context.times.unix_ms, record.last_heartbeat
    store.keep(
        StoredAgent(
            record.agent_id,
            record.status,
            record.state,
            record.reason_code,
            record.ip,
            record.dialect,
            record.generation,
            record.introduced_by,
            unix_ms(record.connected_at),
            store.clock.now(),
            record.config,
            unix_ms(now) if is_heard else None,
            None if last is None else unix_ms(last),
        )
    )


async def boot(context: Context) -> tuple[Minute, ...]:
    """Takes up what an earlier process has left: agents that were online are given time to come
    back, and sessions are theirs when they do (PROTOCOL.md §5.5, §7).

    Returns:
        The fleet's history.

    Raises:
        StoreError: it cannot be read.
    """
    began = time.monotonic()
    with _no_collections():
        kept = await context.store.start(context.fleet)
        context.times.restore(kept.alive_at)
        now, age = context.pool.now_ms(), context.store.clock.now()
        for stored in kept.agents:
            _restore(context, stored, now - max(0, age - stored.changed_at), now)
        drop_configs(context)
        _resume_sessions(context, kept)
    if kept.alive_at is not None:
        _log.info(
            "fleet_restored",
            agents=len(kept.agents),
            online=sum(stored.status == "online" for stored in kept.agents),
            sessions=context.fleet.sessions()[0],
            seconds=round(time.monotonic() - began, 3),
        )
    return tuple(kept.history)


@contextmanager
def _no_collections() -> Iterator[None]:
    """A fleet is a million objects and no garbage: looking for it takes a third of the boot."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def drop_configs(context: Context) -> None:
    """Forgets the configs of those that have been away longest, if all of them take more than they
    may."""
    records = context.fleet.drop_configs(context.config.limits.absent_bytes)
    if not records:
        return
    now = context.pool.now_ms()
    for record in records:
        keep(context, record, now)
    context.counters.configs_dropped_total += len(records)
    _log.warning("configs_dropped", agents=len(records), agent_id=records[0].agent_id)


def _restore(context: Context, stored: StoredAgent, left: int, now: int) -> None:
    kept_ms = context.times.kept_ms
    context.fleet.restore(
        stored.agent_id,
        stored.state,
        stored.reason_code,
        stored.ip,
        stored.dialect,
        stored.generation,
        stored.introduced_by,
        # On this process's clock, so mostly negative.
        kept_ms(stored.connected_at),
        None if stored.heartbeat_at is None else kept_ms(stored.heartbeat_at),
        stored.config,
        left=left,
        now=now,
    )


def _resume_sessions(context: Context, kept: Kept) -> None:
    """No agent could come back while there was no server: one whose session had not run out by then
    has all of `session.ttl` from now on."""
    fleet, age = context.fleet, context.age()
    for session in kept.sessions:
        fleet.restore_session(*session)
    for message in kept.messages:
        fleet.restore_message(*message)
    if kept.alive_at is not None:
        fleet.expire_sessions(age - round(context.config.session.ttl * 1000))
    fleet.resume_sessions(age)
    context.store.changed()
