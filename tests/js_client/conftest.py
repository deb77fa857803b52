"""Stages for the tests of this folder, which are skipped where `make setup-clients` was not run."""

from collections.abc import Iterator

import pytest

from browser import Browser
from js_stage import HAS_BROWSER, MISSING, Node, Page, Stage, files


@pytest.fixture(scope="session")
def js_files() -> Iterator[str]:
    with files() as url:
        yield url


@pytest.fixture(scope="session")
def js_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One window for a whole run: it starts once."""
    if not HAS_BROWSER:
        pytest.skip("no chromium with chromedriver: make setup-browser installs them")
    one = Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


@pytest.fixture
def node_stage() -> Iterator[Stage]:
    if MISSING is not None:
        pytest.skip(MISSING)
    one = Node()
    yield Stage("node", one)
    one.close()


@pytest.fixture
def page(js_browser: Browser, js_files: str) -> Iterator[Page]:
    if MISSING is not None:
        pytest.skip(MISSING)
    yield Page(js_browser, js_files)
    js_browser.open("about:blank")


@pytest.fixture(params=["node", pytest.param("chromium", marks=pytest.mark.slow)])
def stage(request: pytest.FixtureRequest) -> Stage:
    """The same test in both. It is one client: for each change Node does, and what a browser alone
    has is in test_browser."""
    if request.param == "node":
        found = request.getfixturevalue("node_stage")
        assert isinstance(found, Stage)
        return found
    return Stage("chromium", request.getfixturevalue("page"))
