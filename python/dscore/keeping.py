"""Agents on their way to the store, and back after a restart."""

import time
from sys import intern
from typing import cast

from dscore.context import Context
from dscore.log import get_logger
from dscore.messages import ReasonCode
from dscore.registry import AgentRecord, Dialect, State
from dscore.store import Kept, Seen, StoredAgent

_log = get_logger("dscore.store")


def keep(context: Context, record: AgentRecord, now: int, *, is_heard: bool = False) -> None:
    """Remembers an agent as it is now. Called after every change but those that are read in bulk.

    Args:
        is_heard: something came from it just now.
    """
    offset = round(context.clock_offset * 1000)
    agent_id = record.agent_id
    context.store.keep(
        StoredAgent(
            agent_id,
            record.status,
            record.state,
            record.reason_code,
            record.ip,
            record.dialect,
            record.generation,
            record.introduced_by,
            record.connected_at + offset,
            now + offset,
            record.config,
        )
    )
    if is_heard:
        last = record.last_heartbeat
        context.store.seen(((agent_id, now + offset, None if last is None else last + offset),))


def boot(context: Context, kept: Kept) -> None:
    """Takes up what an earlier process has left: agents that were online are given time to come
    back, and sessions are theirs when they do (PROTOCOL.md §5.5, §7)."""
    began = time.monotonic()
    now = context.pool.now_ms()
    for stored, seen in kept.agents:
        record = _remember(context, stored, seen)
        context.liveness.booted(record, now)
    _resume_sessions(context, kept)
    if kept.alive_at is not None:
        _log.info(
            "fleet_restored",
            agents=len(kept.agents),
            online=sum(stored.status == "online" for stored, _ in kept.agents),
            sessions=len(context.store),
            seconds=round(time.monotonic() - began, 3),
        )


def _remember(context: Context, stored: StoredAgent, seen: Seen | None) -> AgentRecord:
    offset = round(context.clock_offset * 1000)
    record = AgentRecord(stored.agent_id)
    # Of each of these there are few, and a fleet of agents that have them.
    record.state = cast(State, intern(stored.state))
    if stored.reason_code is not None:
        record.reason_code = cast(ReasonCode, intern(stored.reason_code))
    record.ip = intern(stored.ip)
    record.dialect = cast(Dialect, intern(stored.dialect))
    record.introduced_by = intern(stored.introduced_by)
    record.generation = stored.generation
    # On this process's clock, so mostly negative.
    record.connected_at = stored.connected_at - offset
    record.config = stored.config
    if seen is not None and seen[2] is not None:
        record.last_heartbeat = seen[2] - offset
    context.registry.remember(record, stored.changed_at - offset)
    return record


def _resume_sessions(context: Context, kept: Kept) -> None:
    """Nobody could come back while there was no server: whoever's session had not run out by then
    has all of `session.ttl` from now on."""
    store, now = context.store, time.time()
    if kept.alive_at is not None:
        store.expire(kept.alive_at / 1000 - context.config.session.ttl)
    for agent_id in list(kept.sessions):
        session = store.get(agent_id)
        if session is not None:
            session.left_at = now
            store.put(agent_id, session)
