"""What the benches make of their figures, without a server: `make bench-quick` has the rest."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from benches.aims import Aim, table
from benches.cores import on, pick
from benches.fleet import Fleet

from waiting import wait_until

RATE = Aim("storm_rate", "introduced", "", {"dscore": 0.6}, at_least=True)
EXIT = Aim("exit_ms", "exit", " ms", {"dscore": 1.4})
MEMORY = Aim("memory_bytes", "memory", " B", {"dscore": 640}, absolute=True)


def rows(aim: Aim, floor: float, dscore: float, peer: float) -> str:
    rounds = {"floor": [floor], "dscore": [dscore], "peer": [peer]}
    figures = {name: [{aim.key: figure} for figure in each] for name, each in rounds.items()}
    return list(table((aim,), figures))[-1]


def test_the_table_of_aims_has_ratios_to_the_floor_and_a_column_of_aims() -> None:
    figures = {name: [{"exit_ms": 100.0}] for name in ("floor", "peer", "dscore")}
    head, line, _ = table((EXIT,), figures)
    assert head == "| | floor | peer | dscore | aim, dscore |"
    assert line == "|---|--:|--:|--:|--:|"
    assert (
        rows(EXIT, 200, 280, 500)
        == "| exit | 200.0 ms | 1.40 × (280.0 ms) | 2.50 × (500.0 ms) | ≤ 1.40 × |"  # noqa: RUF001
    )


@pytest.mark.parametrize(
    ("aim", "floor", "met", "missed"),
    [(RATE, 1000, 600, 590), (EXIT, 200, 280, 283), (MEMORY, 42, 640, 641)],
)
def test_only_a_figure_that_misses_its_aim_is_bold(
    aim: Aim, floor: float, met: float, missed: float
) -> None:
    assert "**" not in rows(aim, floor, met, missed)  # a peer has no aim
    assert rows(aim, floor, missed, met).count("**") == 2


def test_amounts_stand_alone_where_no_floor_was_measured() -> None:
    figures = {"dscore": [{"exit_ms": 500.0}]}
    assert list(table((EXIT,), figures))[-1] == "| exit | 500.0 ms | ≤ 1.40 × |"  # noqa: RUF001


def test_what_is_started_on_a_processor_stays_there_and_the_rest_is_free() -> None:
    cores, before = pick(), os.sched_getaffinity(0)
    if cores is None:
        pytest.skip("one processor only")
    assert cores.server != cores.fleet
    asks = "import os; print(*os.sched_getaffinity(0))"
    for core, expected in ((cores.server, {cores.server}), (None, before)):
        with on(core):
            started = subprocess.Popen([sys.executable, "-c", asks], stdout=subprocess.PIPE)
        assert os.sched_getaffinity(0) == before
        said, _ = started.communicate(timeout=60)
        assert set(map(int, said.split())) == expected


def test_a_fleet_that_has_ended_by_itself_is_closed_like_any_other() -> None:
    """Its server is closed behind it: ten of them were left running."""
    with closing(Fleet(Path("/bin/true"), "ws://localhost")) as fleet:
        with pytest.raises(RuntimeError, match="ended without introduced"):
            fleet.wait_for("introduced")
        # The kernel closes the pipes of a process that ends one after the other.
        with pytest.raises(BrokenPipeError):
            wait_until(lambda: fleet.command("stop"), "end of the pipe")
        fleet.close()
