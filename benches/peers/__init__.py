"""What a user would pick instead: the same small service on other people's libraries.

Each is an idiomatic program of its own, started with a port, and optional: `python -m
benches.peers` builds what the machine has the tools for and names what it leaves out.
"""

from dataclasses import dataclass
from pathlib import Path

PEERS_DIRECTORY = Path(__file__).parent
BUILD = PEERS_DIRECTORY.parent / "build" / "peers"


@dataclass(frozen=True)
class Peer:
    """One program."""

    name: str
    command: tuple[Path | str, ...]
    """The port follows."""
    made_by: str
    """The recipe of `__main__.py`, and its tool."""
    packages: tuple[str, ...] = ()
    """Of a Python peer, beside those that all of them have."""
    folder: str = ""
    """Its sources with their lock file, under this one; Python's run where they are."""
    dialect: str = "raw"
    """What it speaks: raw or socketio."""

    @property
    def is_built(self) -> bool:
        return (BUILD / f"{self.name}.built").exists()


def _python(name: str, *packages: str, dialect: str = "raw") -> Peer:
    environment = BUILD / "python" / name
    program = PEERS_DIRECTORY / "python" / f"serve_{name.removeprefix('python-')}.py"
    return Peer(name, (environment / "bin" / "python", program), "python", packages, dialect)


def _node(name: str, folder: str, program: str, *, dialect: str = "raw") -> Peer:
    command = ("node", BUILD / folder / program)
    return Peer(name, command, "npm", folder=folder, dialect=dialect)


def _rust(name: str, program: str) -> Peer:
    return Peer(name, (BUILD / "rust" / "release" / program,), "cargo", folder="rust")


# Exact versions: figures of two machines are of the same libraries. Cargo.lock, go.sum and
# package-lock.json do the same for the others.
UVLOOP = "uvloop==0.23.0"
EVERY_PYTHON = ("orjson==3.13.0",)

PEERS = {
    peer.name: peer
    for peer in (
        _rust("fastwebsockets", "fastwebsockets"),
        _rust("tokio-tungstenite", "tungstenite"),
        Peer("gws", (BUILD / "gws",), "go", folder="go"),
        _node("uWebSockets.js", "uws", "serve.js"),
        _node("ws", "node", "serve.js"),
        _python("picows", "picows==2.3.1", UVLOOP),
        _python("socketify", "socketify==0.0.31"),
        _python("aiohttp", "aiohttp==3.14.5", UVLOOP),
        _python("websockets", "websockets==17.4", UVLOOP),
        _python(
            "fastapi",
            "fastapi==0.165.0",
            "uvicorn==0.54.0",
            "httptools==0.9.0",
            "websockets==17.4",
            UVLOOP,
        ),
        _node("socket.io", "node", "serve_socketio.js", dialect="socketio"),
        _python(
            "python-socketio",
            "python-socketio==5.18.1",
            "python-engineio==4.15.1",
            "uvicorn==0.54.0",
            "httptools==0.9.0",
            "websockets==17.4",
            UVLOOP,
            dialect="socketio",
        ),
    )
}


def speaking(dialect: str) -> list[str]:
    """The names of those that speak it, built or not."""
    return [name for name, peer in PEERS.items() if peer.dialect == dialect]


def built(dialect: str) -> list[str]:
    """The names of those that can be measured here."""
    return [name for name in speaking(dialect) if PEERS[name].is_built]
