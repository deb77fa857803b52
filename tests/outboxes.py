"""Agents of a fleet with sessions, and what waits for them, for tests of what is kept."""

from itertools import count

from dscore._core import AgentRow, Fleet
from dscore.messages import ReasonCode
from dscore.policy.liveness import new_fleet
from dscore.store import Loaded, StoredAgent

PLENTY = 1 << 40
TTL = 60_000
_conns = count(1)


def keeping_fleet() -> Fleet:
    """One whose changes are written down."""
    fleet = new_fleet()
    fleet.keep_changes(True)
    return fleet


def known(fleet: Fleet, agent_id: str) -> AgentRow:
    agent = fleet.agent(agent_id)
    assert agent is not None
    return agent


def introduced(fleet: Fleet, agent_id: str, *, age: int = 0) -> AgentRow:
    """An agent on a new connection, with a session, new or its old one."""
    conn = next(_conns)
    fleet.open(conn, "10.0.0.1")
    found = fleet.introduce(conn, agent_id, "app_ready", 0)
    assert found is not None
    fleet.open_session(found.agent, reconnection=None, age=age, ttl=TTL)
    return found.agent


def left(fleet: Fleet, agent_id: str, *, code: int = 1006, age: int = 0) -> AgentRow:
    """One that was introduced, and has lost its connection."""
    agent = introduced(fleet, agent_id, age=age)
    conn = agent.conn
    fleet.release(agent, 0)
    fleet.close(conn)
    fleet.leave_session(agent, code, age)
    return agent


def queued(fleet: Fleet, agent_id: str, *texts: bytes) -> None:
    for text in texts:
        assert fleet.queue(known(fleet, agent_id), text) is not None


def taken(fleet: Fleet, agent_id: str) -> list[bytes]:
    """All messages of an outbox, which is empty after that."""
    agent = introduced(fleet, agent_id)
    texts = fleet.deliver(agent, PLENTY)
    fleet.delivered(agent.conn, PLENTY)
    return texts


def outbox(fleet: Fleet, agent_id: str) -> tuple[int, int]:
    return fleet.outbox(known(fleet, agent_id))


def restore(fleet: Fleet, loaded: Loaded, *, age: int = 0) -> None:
    """Takes up what an earlier process has left, as a server does."""
    times = (1 << 50, 0, 0)
    fleet.restore(loaded.agents, last_entry=loaded.last_entry, age=age, now=0, times=times)
    for message in loaded.messages:
        assert fleet.restore_message(*message)


def restore_one(
    fleet: Fleet,
    agent_id: str,
    state: str,
    reason_code: ReasonCode | None,
    ip: str,
    dialect: str,
    generation: int,
    introduced_by: str,
    connected_at: int,
    last_heartbeat: int | None,
    config: bytes | None,
    *,
    left: int,
    now: int,
) -> None:
    """Takes up one agent, whose times are of the fleet's own clock."""
    row = StoredAgent(
        number=len(fleet) + 1,
        agent_id=agent_id,
        state=state,
        reason_code=reason_code,
        ip=ip,
        dialect=dialect,
        generation=generation,
        introduced_by=introduced_by,
        connected_at=connected_at,
        changed_at=left,
        seen_at=None,
        heartbeat_at=last_heartbeat,
        last_close=None,
        left_at=None,
        dropped=0,
        config=config,
    )
    fleet.restore([row], last_entry=0, age=now, now=now, times=(1 << 50, 0, 0))
