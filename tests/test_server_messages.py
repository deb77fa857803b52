import asyncio
from typing import Any

import orjson
import pytest

import fake_core
from dscore.policy import Policy
from dscore.policy.agent import Agent
from dscore.server.hooks import MAX_WAITING
from fake_core import Message, introduction, message
from faked import FakeServer, eventually, running


class Listener(Policy):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any]]] = []

    def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> None:
        self.heard.append((agent.id, kind, message))


class SlowListener(Policy):
    def __init__(self) -> None:
        self.heard: list[int] = []
        self.go_on = asyncio.Event()

    async def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> None:
        await self.go_on.wait()
        self.heard.append(message["n"])


def refusals(server: FakeServer) -> list[tuple[int, str, str | None]]:
    return [(conn, code, kind) for conn, code, _, kind in server.pool.named("refuse")]


async def test_app_ready_repeated_with_the_same_id_is_acknowledged_again() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "app_ready", instance_id="a"))
        assert [one["type"] for one in server.told(1)] == ["app_ready_ack"] * 2
        assert len(server.pool.named("accept")) == 1


async def test_app_ready_after_a_heartbeat_makes_an_agent_that_can_be_told_to_terminate() -> None:
    async with running() as server:
        beat = introduction(1, "heartbeat", clientName="a")
        await server.happen(fake_core.Opened(1), beat)
        await server.happen(message(1, "app_ready", instance_id="a", config={"x": 1}))
        assert [one[:3] for one in server.pool.named("accept")] == [
            (1, "a", True),
            (1, "a", False),
        ]
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.config == {"x": 1}


@pytest.mark.parametrize(
    ("kind", "field"), [("app_ready", "instance_id"), ("reconnection_success", "clientName")]
)
async def test_another_id_on_an_introduced_connection_is_wrong_id(kind: str, field: str) -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(message(1, kind, **{field: "b"}))
        assert refusals(server) == [(1, "wrong_id", kind)]
        assert server.fleet.agent("b") is None


async def test_a_watcher_cannot_become_an_agent() -> None:
    async with running() as server:
        await server.watch(1)
        await server.happen(message(1, "app_ready", instance_id="a"))
        assert refusals(server) == [(1, "wrong_id", "app_ready")]


async def test_other_messages_of_a_watcher_are_not_introduced() -> None:
    async with running() as server:
        await server.watch(1)
        await server.happen(message(1, "detections"))
        assert refusals(server) == [(1, "not_introduced", "detections")]


async def test_status_request_is_answered_before_an_introduction_too() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        request = message(2, "client_status_request", clientName="a")
        await server.happen(fake_core.Opened(2), request)
        (answer,) = server.told(2)
        assert answer["serverStatus"] == "online"
        assert answer["clientStatus"] == "online"
        assert answer["serverUptime"] >= 0
        assert answer["message"]


async def test_status_request_for_an_unknown_name_is_an_error() -> None:
    async with running() as server:
        request = message(2, "client_status_request", clientName="unknown")
        await server.happen(fake_core.Opened(2), request)
        (answer,) = server.told(2)
        assert set(answer) == {"type", "serverStatus", "timestamp", "message"}
        assert answer["serverStatus"] == "error"


async def test_status_request_during_a_drain_says_shutting_down() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        drain = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        await server.happen(message(1, "client_status_request", clientName="a"))
        assert server.told(1)[-1]["serverStatus"] == "shutting_down"
        await server.happen(fake_core.Outcome(1, "r", "acked"))
        await drain


async def test_status_request_without_a_name_is_refused() -> None:
    async with running() as server:
        await server.happen(fake_core.Opened(1), message(1, "client_status_request"))
        assert refusals(server) == [(1, "missing_field", "client_status_request")]


async def test_an_unknown_type_goes_to_on_message() -> None:
    listener = Listener()
    async with running(policy=listener) as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "detections", boxes=[1, 2]))
        assert listener.heard == [("a", "detections", {"type": "detections", "boxes": [1, 2]})]


async def test_an_unknown_type_without_a_policy_is_nothing() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "detections"))
        assert refusals(server) == []


async def test_what_on_message_raises_goes_no_further() -> None:
    class Broken(Policy):
        def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> None:
            raise LookupError

    async with running(policy=Broken()) as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "detections"), message(1, "detections"))
        assert server.core_stats()["hook_errors_total"] == 2
        assert server.fleet.connected_ids() == ["a"]


async def test_an_async_on_message_handles_one_message_of_an_agent_after_the_other() -> None:
    listener = SlowListener()
    async with running(policy=listener) as server:
        await server.introduce(1, "a")
        await server.happen(*(message(1, "detections", n=n) for n in range(20)))
        assert listener.heard == []
        listener.go_on.set()
        await eventually(lambda: len(listener.heard) == 20)
        assert listener.heard == list(range(20))


async def test_an_agent_faster_than_an_async_on_message_is_closed() -> None:
    async with running(policy=SlowListener()) as server:
        await server.introduce(1, "a")
        await server.happen(*(message(1, "detections", n=n) for n in range(MAX_WAITING + 2)))
        assert server.pool.closes(1) == [(1008, "too many messages")]


async def test_an_event_that_fails_does_not_lose_the_rest_of_its_batch() -> None:
    listener = Listener()
    async with running(policy=listener) as server:
        await server.introduce(1, "a")
        broken = Message(1, "detections", None)  # type: ignore[arg-type]
        await server.happen(broken, message(1, "detections"))
        assert len(listener.heard) == 1


class Answering(Policy):
    """Answers each message with what the test says; in a namespace with that name."""

    namespaces = ("/x",)

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.heard: list[dict[str, Any]] = []

    def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> Any:
        self.heard.append(message)
        return self.answer

    def on_namespace_message(
        self, agent: Agent, namespace: str, kind: str, message: dict[str, Any]
    ) -> Any:
        self.heard.append(message)
        return f"{agent.id} {namespace} {kind}"


def event(
    kind: str, *, ack: int | None = None, namespace: str = "/", files: Any = (), **fields: Any
) -> Message:
    """A Socket.IO event of connection 1."""
    text = orjson.dumps({**fields, "type": kind})
    return Message(1, kind, text, namespace=namespace, ack=ack, attachments=list(files))


async def introduce_socketio(server: FakeServer) -> None:
    await server.join(1)
    await server.happen(introduction(1, "heartbeat", clientName="a"))


@pytest.mark.parametrize(
    ("answer", "argument", "attachments"),
    [
        (None, [], []),
        ("ok", ["ok"], []),
        ([1, 2], [[1, 2]], []),
        ({"jpeg": b"\xff"}, [{"jpeg": {"_placeholder": True, "num": 0}}], [b"\xff"]),
    ],
)
async def test_what_on_message_returns_is_the_acks_argument(
    answer: Any, argument: list[Any], attachments: list[bytes]
) -> None:
    async with running(policy=Answering(answer)) as server:
        await introduce_socketio(server)
        await server.happen(event("shot", ack=7), event("shot"))
        assert server.pool.named("send_ack") == [(1, 7, argument, "/", attachments)]


async def test_an_async_on_message_acks_each_message_in_order() -> None:
    class Slow(Policy):
        async def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> int:
            await asyncio.sleep(0)
            return int(message["n"])

    async with running(policy=Slow()) as server:
        await introduce_socketio(server)
        await server.happen(*(event("shot", ack=n, n=10 * n) for n in range(3)))
        await eventually(lambda: len(server.pool.named("send_ack")) == 3)
        acks = [(number, argument) for _, number, argument, *_ in server.pool.named("send_ack")]
        assert acks == [(0, [0]), (1, [10]), (2, [20])]


async def test_an_event_with_an_ack_id_gets_an_ack() -> None:
    class Broken(Policy):
        async def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> Any:
            if kind == "raises":
                raise LookupError
            return {1}  # no JSON

    for policy in (None, Broken()):
        async with running(policy=policy) as server:
            await introduce_socketio(server)
            await server.happen(event("raises", ack=1), event("nonsense", ack=2))
            await eventually(lambda: len(server.pool.named("send_ack")) == 2)
            assert server.pool.named("send_ack") == [(1, 1, [], "/", []), (1, 2, [], "/", [])]
            assert server.core_stats()["hook_errors_total"] == (0 if policy is None else 2)


async def test_a_type_of_ours_that_the_core_has_not_acked_is_acked_with_nothing() -> None:
    async with running() as server:
        await server.join(1)
        await server.happen(introduction(1, "watch"))
        await server.happen(event("unwatch", ack=4), event("unwatch"))
        assert server.pool.named("send_ack") == [(1, 4, [], "/", [])]


async def test_on_message_sees_bytes_where_attachments_were() -> None:
    policy = Answering()
    async with running(policy=policy) as server:
        await introduce_socketio(server)
        placeholder = {"_placeholder": True, "num": 0}
        await server.happen(event("shot", files=[b"\xff"], jpeg=placeholder))
        assert policy.heard == [{"type": "shot", "jpeg": b"\xff"}]
        await server.happen(event("shot", ack=3, files=[b"\xff"], a={**placeholder, "num": 1}))
        assert refusals(server) == [(1, "bad_field", "shot")]
        assert server.pool.named("send_ack") == [(1, 3, [], "/", [])]


async def test_another_namespace_has_a_hook_of_its_own_whatever_the_event() -> None:
    policy = Answering()
    async with running(policy=policy) as server:
        assert server.pool.config.settings["namespaces"] == ("/x",)
        await introduce_socketio(server)
        await server.happen(event("heartbeat", namespace="/x", ack=1, clientName="b"))
        assert policy.heard == [{"clientName": "b", "type": "heartbeat"}]
        assert server.pool.named("send_ack") == [(1, 1, ["a /x heartbeat"], "/x", [])]


@pytest.mark.parametrize("watches", [False, True])
async def test_nothing_is_heard_in_a_namespace_before_the_introduction(*, watches: bool) -> None:
    policy = Answering()
    settings = {"socketio": {"watch_on_connect": watches}}
    async with running(settings, policy=policy) as server:
        await server.join(1)
        await server.happen(event("app_ready", namespace="/x", ack=1, instance_id="a"))
        assert refusals(server) == [(1, "not_introduced", "app_ready")]
        assert server.pool.named("send_ack") == [(1, 1, [], "/x", [])]
        assert policy.heard == []
