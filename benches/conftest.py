"""What the benches share: options, built programs, and the ledgers that are kept meanwhile."""

import resource
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benches.aims import Aim
from benches.contenders import CONTENDERS
from benches.cores import Cores
from benches.ledger import Ledger
from benches.noise import machine
from benches.pictures import draw
from benches.programs import Programs, build
from benches.round import Round
from benches.tables import markdown

RESULTS = Path(__file__).parent / "results"
LEDGERS = pytest.StashKey[dict[str, Ledger]]()
AIMS = pytest.StashKey[dict[str, tuple[Aim, ...]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benches")
    group.addoption("--quick", action="store_true", help="small: shows that the benches work")
    group.addoption("--agents", type=int, action="append", help="fleet size; may be repeated")
    group.addoption("--rounds", type=int, help="rounds of each server")
    names = ",".join(CONTENDERS)
    group.addoption("--contenders", help=f"servers to measure, of {names} [those of each bench]")
    group.addoption("--processes", type=int, default=1, help="processes of the fleet [1]")
    group.addoption("--results", default="run", help="folder under benches/results [run]")
    group.addoption("--resume", action="store_true", help="leave out rounds that are there already")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEDGERS], config.stash[AIMS] = {}, {}
    # A fleet needs a descriptor for each agent; the servers and the fleet inherit the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Orders the rounds: for each size, the servers take turns, so that all meet the same noise."""
    if "contender" not in metafunc.fixturenames:
        return
    config, bench = metafunc.config, metafunc.module
    quick = config.getoption("--quick")
    sizes = config.getoption("--agents") or (bench.QUICK_AGENTS if quick else bench.AGENTS)
    rounds = config.getoption("--rounds") or (bench.QUICK_ROUNDS if quick else bench.ROUNDS)
    chosen = config.getoption("--contenders")
    contenders = chosen.split(",") if chosen else _contenders(metafunc, quick)
    turns = [
        pytest.param(agents, contender, id=f"{agents}-{number}-{contender}")
        for agents in sizes
        for number in range(rounds)
        for contender in contenders
    ]
    metafunc.parametrize(("agents", "contender"), turns)


def _contenders(metafunc: pytest.Metafunc, quick: bool) -> Sequence[str]:
    """A file of several benches names those of each. A small run leaves out what another bench of
    it has shown to work."""
    test, bench = metafunc.function, metafunc.module
    everyone: Sequence[str] = getattr(test, "contenders", None) or bench.CONTENDERS
    if not quick:
        return everyone
    return getattr(test, "quick_contenders", None) or getattr(bench, "QUICK_CONTENDERS", everyone)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Opens the ledgers, and leaves out what they have."""
    done = [item for item in items if item.name in _ledger(config, item).done]
    if done:
        config.hook.pytest_deselected(items=done)
        items[:] = [item for item in items if item not in done]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.passed:
        _ledger(item.config, item).keep(item.name)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for name, ledger in config.stash[LEDGERS].items():
        if ledger.done:
            table = ledger.path.with_suffix(".md")
            table.write_text(markdown(ledger, config.stash[AIMS][name]))
            pictures = draw(ledger)
            terminalreporter.section(str(table))
            terminalreporter.write(table.read_text())
            terminalreporter.write("".join(f"{picture}\n" for picture in pictures))


def _ledger(config: pytest.Config, item: pytest.Item) -> Ledger:
    assert isinstance(item, pytest.Function)
    module: ModuleType = item.module
    name = module.__name__.rpartition(".")[2].removeprefix("test_")
    ledgers = config.stash[LEDGERS]
    if name not in ledgers:
        path = RESULTS / config.getoption("--results") / f"{name}.json"
        ledger = ledgers[name] = Ledger(path, machine())
        if left_out := getattr(module, "LEFT_OUT", None):
            ledger.machine["not built, left out"] = ", ".join(left_out)
        ledger.machine.update(getattr(module, "ABOUT", {}))
        config.stash[AIMS][name] = getattr(module, "AIMS", ())
        if config.getoption("--resume"):
            ledger.resume()
    return ledgers[name]


@pytest.fixture(scope="session")
def programs() -> Programs:
    return build()


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return _ledger(request.config, request.node)


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

    def start(cores: Cores | None = None, **options: object) -> Round:
        options.setdefault("processes", request.config.getoption("--processes"))
        options.setdefault("agents", agents)
        started.append(Round(programs, contender, tmp_path, cores, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()
