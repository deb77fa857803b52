"""`dscore.testing`: a fleet in three lines, a policy without sockets."""

import asyncio
from typing import Any

import pytest

import dscore
from dscore import testing


class Cameras(dscore.Policy):
    namespaces = ("/telemetry",)

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    async def authenticate(self, candidate: dscore.Candidate) -> bool:
        return candidate.role == "operator" or candidate.agent_id.startswith("cam-")

    def on_connect(self, agent: dscore.Agent) -> None:
        self.seen.append(("connect", agent.id, dict(agent.labels)))
        agent.send({"type": "welcome"})

    async def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
        if kind == "fail":
            raise LookupError(kind)
        self.seen.append((kind, agent.id, message.get("n")))
        if kind == "ask":
            return await agent.request("picture")
        return {"taken": message.get("n")}

    def on_namespace_message(
        self, agent: dscore.Agent, namespace: str, kind: str, message: dict[str, Any]
    ) -> None:
        self.seen.append((namespace, kind, agent.id))

    def on_disconnect(self, agent: dscore.Agent, close_code: int, reason: str) -> None:
        self.seen.append(("gone", agent.id, close_code))

    def on_status_change(self, agent: dscore.Agent, status: str, reason_code: str | None) -> None:
        self.seen.append((status, agent.id, reason_code))

    def on_drain(self, intent: str) -> None:
        self.seen.append(("drain", intent))


async def test_a_fleet_in_three_lines() -> None:
    cameras = Cameras()
    async with testing.fleet("cam-1", "cam-2", policy=cameras) as fleet:
        await fleet["cam-1"].send("reading", n=3)
        report = await fleet.drain()
    assert (report.total, report.acked) == (2, 2)
    assert ("reading", "cam-1", 3) in cameras.seen


async def test_a_fleet_has_agents_that_fail_and_are_mute_and_come_back() -> None:
    config = {"shutdown": {"timeout": "200ms", "max_extension": 0}}
    async with testing.fleet("cam-1", "cam-2", "cam-3", config=config, policy=Cameras()) as fleet:
        assert list(fleet) == ["cam-1", "cam-2", "cam-3"]
        assert (await fleet["cam-1"].expect("welcome"))["type"] == "welcome"
        assert (await fleet["cam-1"].beat())["status"] == "ok"
        await fleet["cam-2"].vanish()
        with pytest.raises(ConnectionError, match="cam-2 is not connected"):
            await fleet["cam-2"].send("reading")
        acknowledged = await fleet["cam-2"].connect(reconnection=True)
        assert acknowledged["session_restored"] is True
        fleet["cam-2"].answers = None
        fleet["cam-3"].answers = "BUSY"
        report = await fleet.drain("terminate")
        assert (report.acked, report.failed, report.timed_out) == (1, 1, 1)
        assert (await fleet["cam-1"].closed()) == (1000, "Client terminated")


async def test_a_fleet_refuses_as_the_server_does() -> None:
    config = dscore.Config.model_validate(
        {"auth": {"required": True, "tokens": ["let-me-in-please"]}}
    )
    async with testing.fleet(config=config) as fleet:
        with pytest.raises(ConnectionError, match="authentication failed"):
            await fleet.connect("cam-1", token="wrong")
        agent = await fleet.connect("cam-1", token="let-me-in-please", config={"a": 1})
        assert fleet["cam-1"] is agent
        with pytest.raises(TimeoutError, match="no picture; it has had nothing"):
            await agent.expect("picture", seconds=0.01)
        assert (await agent.leave()).code == 1000


async def test_a_policy_without_sockets() -> None:
    cameras = Cameras()
    rehearsal = testing.Rehearsal(cameras)
    with pytest.raises(dscore.AdmissionError, match="door-1"):
        await rehearsal.introduce("door-1")
    assert await rehearsal.watch()
    agent = await rehearsal.introduce("cam-1", config={"labels": {"site": "busan"}})
    assert agent == rehearsal.agent("cam-1")
    assert rehearsal.sent("cam-1") == [{"type": "welcome"}]
    assert await rehearsal.message("cam-1", "reading", n=3) == {"taken": 3}
    await rehearsal.message("cam-1", "tick", "/telemetry")
    with pytest.raises(LookupError):
        await rehearsal.message("cam-1", "fail")
    await rehearsal.disconnect("cam-1", 1011, "ping timeout")
    assert not agent.connected
    with pytest.raises(dscore.NotConnectedError):
        await rehearsal.message("cam-1", "reading")
    assert agent.send({"type": "later"}) is False
    assert agent.undelivered == 1
    await rehearsal.offline("cam-1")
    assert (agent.status, agent.reason_code) == ("offline", "reconnect_timeout")
    await rehearsal.introduce("cam-1", reconnection=True)
    assert rehearsal.sent("cam-1")[-1] == {"type": "later"}
    await rehearsal.drain()
    assert cameras.seen == [
        ("connect", "cam-1", {"site": "busan"}),
        ("reading", "cam-1", 3),
        ("/telemetry", "tick", "cam-1"),
        ("gone", "cam-1", 1011),
        ("offline", "cam-1", "reconnect_timeout"),
        ("connect", "cam-1", {}),
        ("online", "cam-1", None),
        ("drain", "terminate"),
    ]


async def test_a_policy_may_ask_close_and_terminate_without_sockets() -> None:
    rehearsal = testing.Rehearsal(Cameras())
    rehearsal.acks["picture"] = b"jpeg"
    raw = await rehearsal.introduce("cam-1")
    with pytest.raises(dscore.NoAcksError):
        await rehearsal.message("cam-1", "ask")
    await rehearsal.introduce("cam-2", dialect="socketio")
    assert await rehearsal.message("cam-2", "ask") == b"jpeg"
    raw.close(1008, "enough")
    assert rehearsal.closes("cam-1") == [(1008, "enough")]
    assert (await raw.terminate()).outcome == "acked"
    assert raw.state == "terminated"
    with pytest.raises(dscore.UnknownAgentError):
        rehearsal.agent("cam-3")


def test_a_policy_is_looked_at_as_at_the_start_of_a_server() -> None:
    class Slip(dscore.Policy):
        def on_conect(self, agent: dscore.Agent) -> None: ...

    with pytest.raises(dscore.PolicyError, match="did you mean on_connect"):
        testing.Rehearsal(Slip())


def test_what_a_handle_reads_is_there_without_sockets() -> None:
    rehearsal = testing.Rehearsal(dscore.Policy())
    agent = asyncio.run(rehearsal.introduce("a", config={"x": 1}))
    named = [name for name in dir(dscore.Agent) if not name.startswith("_")]
    properties = [name for name in named if isinstance(getattr(dscore.Agent, name), property)]
    assert len(properties) > 10
    for name in properties:
        getattr(agent, name)
