"""What the benches share: options, built programs, and the ledger that is written at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benches.contenders import CONTENDERS
from benches.ledger import Ledger
from benches.noise import machine
from benches.programs import Programs, build
from benches.round import Round

RESULTS = Path(__file__).parent / "results"
LEDGER = pytest.StashKey[Ledger]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benches")
    group.addoption("--quick", action="store_true", help="small: shows that the benches work")
    group.addoption("--agents", type=int, action="append", help="fleet size; may be repeated")
    group.addoption("--rounds", type=int, help="rounds of each server")
    names = ",".join(CONTENDERS)
    group.addoption("--contenders", default=names, help=f"servers to measure [{names}]")
    group.addoption("--processes", type=int, default=1, help="processes of the fleet [1]")
    group.addoption("--results", default="run", help="name of the files under benches/results")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEDGER] = Ledger(machine())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    ledger = config.stash[LEDGER]
    if ledger.benches:
        table = ledger.write(RESULTS, config.getoption("--results"))
        terminalreporter.section(str(table))
        terminalreporter.write(ledger.markdown())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Orders the rounds: for each size, the servers take turns, so that all meet the same noise."""
    if "contender" not in metafunc.fixturenames:
        return
    config, bench = metafunc.config, metafunc.module
    quick = config.getoption("--quick")
    sizes = config.getoption("--agents") or ([500] if quick else bench.AGENTS)
    rounds = config.getoption("--rounds") or (bench.QUICK_ROUNDS if quick else bench.ROUNDS)
    turns = [
        pytest.param(agents, contender, id=f"{agents}-{number}-{contender}")
        for agents in sizes
        for number in range(rounds)
        for contender in config.getoption("--contenders").split(",")
    ]
    metafunc.parametrize(("agents", "contender"), turns)


@pytest.fixture(scope="session")
def programs() -> Programs:
    return build()


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return request.config.stash[LEDGER]


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--quick"))


@pytest.fixture
def start_round(
    request: pytest.FixtureRequest,
    programs: Programs,
    tmp_path: Path,
    contender: str,
    agents: int,
) -> Iterator[Callable[..., Round]]:
    """Starts the contender and a fleet with these options; ends both afterwards."""
    started: list[Round] = []

    def start(**options: object) -> Round:
        options.setdefault("processes", request.config.getoption("--processes"))
        started.append(Round(programs, contender, agents, tmp_path, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()
