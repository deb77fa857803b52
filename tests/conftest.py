"""Servers for tests.

`serve` and `serving` are the real program, `start_fleet` its many agents; `server` runs in the
test's own process.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from c_client import build_c
from fleet import Fleet, build_load
from room import Company, Room
from serving import Serving

if TYPE_CHECKING:
    import dscore
    from certificates import Authority, Files

ROOM = pytest.StashKey[Room]()


def pytest_configure(config: pytest.Config) -> None:
    assert config.cache is not None
    room = config.stash[ROOM] = Room(config.cache.mkdir("room"))
    config.add_cleanup(room.close)
    if not hasattr(config, "workerinput"):  # the workers inherit it
        _set_runtime_directory(config)
        _take_interrupts()


def _take_interrupts() -> None:
    """A script's background job ignores ctrl-C, and so would every program that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _set_runtime_directory(config: pytest.Config) -> None:
    """Where servers leave their operator's token and the command line finds it: not the user's."""
    path = tempfile.mkdtemp(prefix="dscore-tests-")
    config.add_cleanup(lambda: shutil.rmtree(path, ignore_errors=True))
    os.environ["XDG_RUNTIME_DIR"] = path
    os.environ.pop("RUNTIME_DIRECTORY", None)


def _company(item: pytest.Item) -> Company:
    if item.get_closest_marker("alone") is not None:
        return Company.NONE
    return Company.ANY if item.get_closest_marker("timed") is None else Company.TIMED


# Last of all: what shares a fixture is put together before.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_company)


# First of all: whose turn it is not yet is not timed yet.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with item.config.stash[ROOM].entered(_company(item)):
        return (yield)


@pytest.fixture(scope="session")
def c_build() -> Path:
    """The directory in which clients/c is built."""
    return build_c()


@pytest.fixture(scope="session")
def c_gst_build(c_build: Path) -> Path:
    """The same, with libdscore-gst in it."""
    if not (c_build / "gst" / "libdscore-gst-1.0.so").exists():
        pytest.skip("no headers of GStreamer to build clients/c/gst: make setup-c")
    return c_build


@pytest.fixture(scope="session")
def authority() -> "Authority":
    """A certificate authority for whatever a test needs (tests/certificates.py)."""
    from certificates import Authority

    return Authority()


@pytest.fixture
def tls_files(authority: "Authority", tmp_path: Path) -> "Files":
    """Certificate, chain and key of a server on loopback."""
    return authority.issue("localhost", "127.0.0.1").save(tmp_path)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Starts `python -m dscore serve` with these arguments, as often as called.

    All of them are ended afterwards. Each has a directory of its own, unless `directory` names one.
    `ready=False` does not wait for readiness.
    """
    numbers = count()
    with ExitStack() as started:

        def start(
            *args: str, ready: bool = True, directory: Path | None = None, **options: Any
        ) -> Serving:
            if directory is None:
                directory = tmp_path / f"serve-{next(numbers)}"
                directory.mkdir()
            one = started.enter_context(Serving(*args, directory=directory, **options))
            return one.wait_until_ready() if ready else one

        yield start


@pytest.fixture
def serving(serve: Callable[..., Serving]) -> Serving:
    """The real program with its defaults, ready."""
    return serve()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The same for all tests of a module that leave it running: starting it costs a second."""
    with Serving(directory=tmp_path_factory.mktemp("lasting")) as one:
        yield one.wait_until_ready()


@pytest.fixture(scope="session")
def load_program() -> Path:
    """The built `dscore-load`."""
    return build_load()


@pytest.fixture
def start_fleet(load_program: Path, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Starts a simulated fleet: `start_fleet(serving.ws, agents=1000, mute="5%")`.

    As often as called; all of them are ended afterwards.
    """
    numbers = count()
    with ExitStack() as started:

        def start(url: str, **options: Any) -> Fleet:
            directory = tmp_path / f"fleet-{next(numbers)}"
            directory.mkdir()
            return started.enter_context(Fleet(load_program, url, directory, **options))

        yield start


@pytest_asyncio.fixture
async def server() -> "AsyncIterator[dscore.Server]":
    """A `dscore.Server` with its defaults on a loopback port, started; closed afterwards."""
    # Here and not above: most tests are of modules that need neither the extension nor a server.
    import dscore

    config = dscore.Config.model_validate({"listen": {"port": 0}, "store": {"path": ":memory:"}})
    async with dscore.Server(config) as running:
        yield running


@pytest.fixture
def write_toml(tmp_path: Path) -> Callable[[str], Path]:
    """Writes settings to a file, always the same one."""

    def write(text: str) -> Path:
        path = tmp_path / "dscore.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong tokens are answered as fast as right ones: for tests with a fake core, which do not
    wait."""
    from dscore.server import wrong_tokens

    monkeypatch.setattr(wrong_tokens, "DELAY", 0.0)
