"""One ctrl-C or two, for the server's command and the agent's."""

from types import ModuleType

import pytest

from dscore.cli import ctrl_c as of_server
from dscore_agent.cli import ctrl_c as of_agent


@pytest.mark.parametrize("module", [of_server, of_agent])
def test_a_signal_that_follows_at_once_is_the_same_ctrl_c(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    ctrl_c = module.CtrlC()
    assert not ctrl_c.is_second()
    now += 0.29
    assert not ctrl_c.is_second()
    now += 0.31
    assert ctrl_c.is_second()
