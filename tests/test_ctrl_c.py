"""One ctrl-C or two, for the server's command and the agent's."""

import pytest

from dscore_agent.cli import ctrl_c


def test_a_signal_that_follows_at_once_is_the_same_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(ctrl_c.time, "monotonic", lambda: now)
    one = ctrl_c.CtrlC()
    assert not one.is_second()
    now += 0.29
    assert not one.is_second()
    now += 0.31
    assert one.is_second()
