"""The servers that are measured. Each is a program of its own, started anew for every round."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benches.peers import PEERS
from benches.programs import Programs
from benches.secure import SECURE
from benches.server import Server, accepts, free_port, is_ready, start


def start_floor(programs: Programs, directory: Path) -> Server:
    """The C server that does the exchange and nothing else."""
    port = free_port()
    return start([str(programs.floor), str(port)], port, directory, accepts)


def start_dscore(
    programs: Programs,
    directory: Path,
    store: str | Path = ":memory:",
    *,
    reactors: str = "auto",
    dialect: str = "raw",
    words: Sequence[str] = (),
) -> Server:
    """`python -m dscore serve` with its defaults, but for the store: a full disk or a slow one is
    not the question, unless it is asked. And with further words."""
    port = free_port()
    usual = ["--port", str(port), "--store", str(store), "--reactors", reactors]
    command = [sys.executable, "-m", "dscore", "serve", *usual, *words]
    return start(command, port, directory, is_ready, dialect)


def start_peer(name: str, programs: Programs, directory: Path) -> Server:
    """One of `peers/`."""
    port = free_port()
    peer = PEERS[name]
    return start([*map(str, peer.command), str(port)], port, directory, accepts, peer.dialect)


# A contender needs a function here and a name: everything else is the same for all.
CONTENDERS: dict[str, Callable[[Programs, Path], Server]] = {
    "floor": start_floor,
    "dscore": start_dscore,
    "dscore-1": partial(start_dscore, reactors="1"),
    "dscore-2": partial(start_dscore, reactors="2"),
    "dscore-socketio": partial(start_dscore, dialect="socketio"),
    "dscore-sqlite": partial(start_dscore, store="dscore.db"),
    **{name: partial(start_peer, name) for name in PEERS},
    **SECURE,
}
