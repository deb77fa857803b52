"""A policy with a slip in it is refused before anything is served."""

from typing import Any

import pytest

import dscore
from dscore import Policy, PolicyError
from dscore.server.policy_check import HOOKS, check_policy


class Slip(Policy):
    def on_conect(self, agent: Any) -> None: ...


class Missed(Policy):
    def authentificate(self, candidate: Any) -> bool:
        return False


class Unknown(Policy):
    def on_moon(self) -> None: ...


class Few(Policy):
    def on_disconnect(self, agent: Any) -> None: ...  # type: ignore[override]


class Many(Policy):
    async def on_connect(self, agent: Any, why: str) -> None: ...  # type: ignore[override]


class NoFunction(Policy):
    on_drain = "terminate"  # type: ignore[assignment]


class Fine(Policy):
    namespaces = ("/a",)
    on_air = False  # no function: the program's own

    def on_connect(self, agent: Any, *more: Any, **named: Any) -> None: ...
    async def on_drained(self, report: Any, extra: int = 0) -> None: ...
    def _on_tick(self) -> None: ...
    def authenticate_user(self) -> None: ...
    def notice(self) -> None: ...
    def message(self) -> None: ...


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (Slip(), "Slip.on_conect is no hook: did you mean on_connect?"),
        (Missed(), "Missed.authentificate is no hook: did you mean authenticate?"),
        (Unknown(), "Unknown.on_moon is no hook: there are authenticate, on_message, "),
        (Few(), "Few.on_disconnect(agent: Any) -> None is called with (agent, close_code, reason)"),
        (Many(), "is called with (agent): missing a required argument: 'why'"),
        (NoFunction(), "NoFunction.on_drain must be a function of (intent)"),
    ],
)
def test_a_slip_is_named_with_its_remedy(policy: Policy, sentence: str) -> None:
    with pytest.raises(PolicyError) as raised:
        check_policy(policy)
    assert sentence in str(raised.value)
    assert isinstance(raised.value, (dscore.DscoreError, TypeError))


@pytest.mark.parametrize("policy", [Policy(), Fine()])
def test_what_can_be_called_is_taken(policy: Policy) -> None:
    check_policy(policy)
    assert len(HOOKS) == 8


async def test_a_server_with_a_slip_does_not_start() -> None:
    config = dscore.Config.model_validate({"listen": {"port": 0}, "store": {"path": ":memory:"}})
    with pytest.raises(PolicyError, match="did you mean on_connect"):
        async with dscore.Server(config, policy=Slip()):
            pass
