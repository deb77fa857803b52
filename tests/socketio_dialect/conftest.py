"""Clients for the tests of this folder, which are skipped where no `make setup-clients` was run."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from socketio_clients import INSTALLED, NODE, Clients, Node

MISSING = (
    "no node: install Node.js 20 or newer with npm, then make setup-clients"
    if NODE is None
    else None
    if INSTALLED
    else "no socket.io-client: make setup-clients installs it"
)


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The program of the JavaScript clients: it starts once."""
    if MISSING is not None:
        pytest.skip(MISSING)
    one = Node()
    yield one
    one.close()


@pytest_asyncio.fixture
async def clients(node: Node) -> AsyncIterator[Clients]:
    """Makes clients; all of them are ended afterwards."""
    made = Clients(node)
    yield made
    await made.close()
