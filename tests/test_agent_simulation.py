"""The simulated return of a fleet: what the figures of docs/agent.md rest on."""

from pathlib import Path

import pytest
from benches.reconnects import SCENARIOS, Scenario, peak, picture, report, simulate, window

DOCUMENT = Path(__file__).parent.parent / "docs" / "agent.md"
FLEET = 2000


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_all_agents_come_back_and_none_before_the_server(scenario: Scenario) -> None:
    outcome = simulate(scenario, FLEET)
    assert len(outcome.returns) == FLEET
    assert outcome.returns[0] >= scenario.down
    assert [*outcome.attempts] == sorted(outcome.attempts)


def test_hints_spread_a_restart_evenly() -> None:
    outcome = simulate(SCENARIOS[0], FLEET)
    assert peak(outcome.attempts) <= FLEET / window(FLEET) + 1
    assert outcome.returns[-1] < 5 + window(FLEET)


def test_the_peak_is_the_fullest_second() -> None:
    assert peak([]) == 0
    assert peak([0.0, 0.5, 0.99, 1.0, 1.4]) == 4


def test_the_page_has_the_figures_of_this_code() -> None:
    outcomes = [(scenario, simulate(scenario)) for scenario in SCENARIOS]
    assert report(outcomes) in DOCUMENT.read_text()
    assert DOCUMENT.with_name("reconnects.svg").read_text() == picture(outcomes)
