"""Socket.IO connections at their CONNECT: the token they show, and who watches from then on."""

import asyncio
import json

import pytest

import fake_core
from dscore.policy import Candidate, Policy
from fake_core import introduction
from faked import eventually, running

WATCHING = {"socketio": {"watch_on_connect": True}}
pytestmark = pytest.mark.usefixtures("answers_at_once")

TOKENS = {"auth": {"required": True, "tokens": ["agents"], "operator_tokens": ["operators"]}}


def auth(**fields: object) -> bytes:
    return json.dumps(fields).encode()


class Door(Policy):
    """Lets in whom the test says, and keeps who asked."""

    def __init__(self, *, allows: bool = True) -> None:
        self.allows = allows
        self.asked: list[Candidate] = []

    def authenticate(self, candidate: Candidate) -> bool:
        self.asked.append(candidate)
        return self.allows


async def test_the_token_of_the_connect_introduces_by_heartbeat() -> None:
    async with running(TOKENS) as server:
        await server.join(1, auth(token="agents"))
        await server.happen(introduction(1, "heartbeat", clientName="b"))
        assert server.fleet.connected_ids() == ["b"]
        await server.join(2, auth(token="wrong"))
        await server.happen(introduction(2, "heartbeat", clientName="c"))
        assert server.pool.closes(2) == [(1008, "authentication failed")]


async def test_the_token_of_a_message_wins_over_that_of_the_connect() -> None:
    async with running(TOKENS) as server:
        await server.join(1, auth(token="wrong"))
        await server.happen(introduction(1, "app_ready", instance_id="a", token="agents"))
        assert server.fleet.connected_ids() == ["a"]


@pytest.mark.parametrize(
    "shown",
    [
        b"{}",
        b"[1]",
        b"{",
        auth(token=7),
        auth(token=""),
        auth(token="x" * 1025),
        auth(token="agents", fill="x" * 4096),
    ],
)
async def test_what_is_no_token_leaves_that_of_the_upgrade(shown: bytes) -> None:
    async with running(TOKENS) as server:
        opened = fake_core.Opened(1, endpoint="socketio", bearer="agents")
        await server.happen(opened, fake_core.Connected(1, "/", shown))
        await server.happen(introduction(1, "heartbeat", clientName="a"))
        assert server.fleet.connected_ids() == ["a"]


async def test_the_policy_sees_the_whole_auth_object() -> None:
    door = Door()
    async with running(policy=door) as server:
        await server.join(1, auth(token="t", site="busan"))
        await server.happen(introduction(1, "heartbeat", clientName="a"))
        await server.introduce(2, "b")
    assert [(one.token, dict(one.auth)) for one in door.asked] == [
        ("t", {"token": "t", "site": "busan"}),
        (None, {}),
    ]


async def test_an_auth_for_another_namespace_is_not_ours() -> None:
    async with running(TOKENS) as server:
        opened = fake_core.Opened(1, endpoint="socketio")
        await server.happen(opened, fake_core.Connected(1, "/x", auth(token="agents")))
        await server.happen(introduction(1, "heartbeat", clientName="a"))
        assert server.pool.closes(1) == [(1008, "authentication failed")]


async def test_no_connection_watches_unless_asked_for() -> None:
    async with running() as server:
        await server.join(1)
        assert server.fleet.counts() == (1, 0, 1)
        await server.introduce(2, "a")
        assert server.told(1) == []


async def test_watch_on_connect_tells_of_changes_and_counts_as_introduced() -> None:
    async with running(WATCHING) as server:
        await server.join(1)
        assert server.fleet.counts() == (1, 1, 0)
        assert server.pool.named("lift_deadline") == [(1,)]
        await server.introduce(2, "a")
        assert [one["name"] for one in server.told(1, "client_status_changed")] == ["a"]


async def test_watch_on_connect_is_not_for_the_raw_dialect() -> None:
    async with running(WATCHING) as server:
        await server.happen(fake_core.Opened(1))
        assert server.fleet.counts() == (1, 0, 1)


async def test_watch_on_connect_ends_with_the_introduction() -> None:
    async with running(WATCHING) as server:
        await server.join(1)
        await server.happen(introduction(1, "heartbeat", clientName="b"))
        agent = server.fleet.agent("b")
        assert agent is not None
        assert (agent.connected, agent.dialect) == (True, "socketio")
        assert server.fleet.counts() == (1, 1, 0)
        before = server.told(1)
        await server.introduce(2, "a")
        assert server.told(1) == before, "it watches no more"
        await server.happen(fake_core.Closed(1))
        assert server.fleet.counts() == (1, 1, 0)


async def test_watch_on_connect_becomes_a_watch_when_asked_for_it() -> None:
    async with running(WATCHING) as server:
        await server.join(1)
        await server.happen(introduction(1, "watch", filter={"q": "cam"}))
        assert server.pool.named("accept_watcher") == [(1, [])]
        await server.introduce(2, "a")
        await server.introduce(3, "cam-1")
        assert [one["name"] for one in server.told(1, "client_status_changed")] == ["cam-1"]


async def test_a_watcher_on_connect_may_introduce_itself_at_any_time() -> None:
    async with running({**WATCHING, **TOKENS}) as server:
        await server.join(1, auth(token="operators"))
        server.pool.clock_skip = 3_600_000
        await server.happen(introduction(1, "app_ready", instance_id="a", token="agents"))
        assert server.fleet.connected_ids() == ["a"]


async def test_a_policy_that_never_answers_makes_no_watcher() -> None:
    class Mute(Policy):
        async def authenticate(self, candidate: Candidate) -> bool:
            await asyncio.Event().wait()
            return True

    async with running({**WATCHING, "auth": {"timeout": "10ms"}}, policy=Mute()) as server:
        await server.join(1)
        await eventually(lambda: not server._tasks)
        assert server.fleet.counts() == (1, 0, 1)
        assert server.core_stats()["hook_errors_total"] == 0


async def test_a_bad_introduction_leaves_it_watching() -> None:
    async with running(WATCHING) as server:
        await server.join(1)
        await server.happen(introduction(1, "app_ready", instance_id=""))
        assert [refusal[:2] for refusal in server.pool.named("refuse")] == [(1, "missing_field")]
        await server.introduce(2, "a")
        assert server.told(1, "client_status_changed")


@pytest.mark.parametrize(("token", "watches"), [("operators", 1), ("agents", 0), ("x", 0)])
async def test_watch_on_connect_needs_an_operators_token_where_tokens_are(
    token: str, watches: int
) -> None:
    async with running({**WATCHING, **TOKENS}) as server:
        await server.join(1, auth(token=token))
        assert server.fleet.counts() == (1, watches, 1 - watches)
        assert server.pool.closes(1) == []
        assert server.pool.named("refuse") == [], "it has not asked: nothing is said"


async def test_watch_on_connect_asks_the_policy() -> None:
    door = Door(allows=False)
    async with running(WATCHING, policy=door) as server:
        await server.join(1, auth(page="fleet"))
        assert server.fleet.counts().authenticated == 0
        [candidate] = door.asked
        assert (candidate.role, candidate.introduced_by) == ("operator", "connect")
        assert candidate.auth == {"page": "fleet"}
        door.allows = True
        await server.join(2)
        assert server.fleet.counts().authenticated == 1


async def test_a_policy_that_raises_makes_no_watcher() -> None:
    class Broken(Policy):
        def authenticate(self, candidate: Candidate) -> bool:
            raise LookupError

    async with running(WATCHING, policy=Broken()) as server:
        await server.join(1)
        assert server.fleet.counts() == (1, 0, 1)
        assert server.core_stats()["hook_errors_total"] == 1


async def test_an_async_policy_is_too_late_for_one_that_has_introduced_itself() -> None:
    class Slow(Policy):
        def __init__(self) -> None:
            self.verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def authenticate(self, candidate: Candidate) -> bool:
            return await self.verdict if candidate.role == "operator" else True

    slow = Slow()
    async with running(WATCHING, policy=slow) as server:
        await server.join(1)
        await server.join(2)
        await server.happen(introduction(2, "heartbeat", clientName="b"))
        await eventually(lambda: server.fleet.connected_ids() == ["b"])
        slow.verdict.set_result(True)
        await eventually(lambda: server.fleet.counts() == (2, 2, 0))
        before = server.told(2)
        await server.introduce(3, "c")
        await eventually(lambda: server.told(1, "client_status_changed"))
        assert server.told(2) == before
