import asyncio

from dscore.policy import Candidate, Policy
from dscore.server.agents import Agent
from dscore.server.hooks import Hooks
from dscore.server.tasks import Tasks
from faked import eventually


def test_a_policy_that_overrides_nothing_costs_nothing() -> None:
    hooks = Hooks(Policy(), Tasks())
    assert (hooks.authenticate, hooks.on_message, hooks.on_connect) == (None, None, None)


async def test_a_policys_own_defaults_can_be_called() -> None:
    policy = Policy()
    assert policy.authenticate(Candidate("agent", "a", "", None, "app_ready", False)) is True
    assert policy.on_drain("terminate") is None


def test_hooks_may_be_set_on_the_object() -> None:
    policy = Policy()
    heard: list[str] = []
    policy.on_drain = heard.append  # type: ignore[method-assign, assignment]
    hooks = Hooks(policy, Tasks())
    hooks.fire(hooks.on_drain, "restart")
    assert heard == ["restart"]


async def test_an_async_hook_that_raises_is_counted() -> None:
    class Broken(Policy):
        async def on_connect(self, agent: Agent) -> None:
            await asyncio.sleep(0)
            raise LookupError

    tasks = Tasks()
    hooks = Hooks(Broken(), tasks)
    hooks.fire(hooks.on_connect, None)
    await eventually(lambda: not tasks)
    assert hooks.errors_total == 1
