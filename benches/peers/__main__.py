"""`python -m benches.peers [NAME…]`: builds the peers, each if it can be, in benches/build."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from benches.peers import BUILD, EVERY_PYTHON, PEERS, PEERS_DIRECTORY, Peer

LAST_LINES = 5
"""Of what a tool said before it failed."""
NATIVE = "native.js"
"""Loads the binary of a package that has one for some versions of Node.js only, or throws."""


def make_python(peer: Peer) -> None:
    environment = BUILD / "python" / peer.name
    _run(sys.executable, "-m", "venv", "--clear", environment)
    pip = (environment / "bin" / "python", "-m", "pip", "install", "--quiet")
    _run(*pip, *EVERY_PYTHON, *peer.packages)


def make_cargo(peer: Peer) -> None:
    manifest = PEERS_DIRECTORY / "rust" / "Cargo.toml"
    program = Path(peer.command[0]).name
    words = ("build", "--release", "--locked", "--quiet", "--manifest-path", manifest)
    _run("cargo", *words, "--target-dir", BUILD / "rust", "--bin", program)


def make_go(peer: Peer) -> None:
    source = PEERS_DIRECTORY / peer.folder
    _run("go", "build", "-trimpath", "-o", peer.command[0], ".", directory=source)


def make_npm(peer: Peer) -> None:
    # Node looks for modules beside the program.
    target = BUILD / peer.folder
    shutil.copytree(PEERS_DIRECTORY / peer.folder, target, dirs_exist_ok=True)
    words = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    _run("npm", *words, directory=target)
    if (target / NATIVE).exists():
        _run("node", NATIVE, directory=target)


RECIPES: dict[str, Callable[[Peer], None]] = {
    "python": make_python,
    "cargo": make_cargo,
    "go": make_go,
    "npm": make_npm,
}


def build(peer: Peer) -> str:
    """Builds one, if it is not up to date.

    Returns:
        What became of it, for a person.
    """
    stamp, fingerprint = BUILD / f"{peer.name}.built", _fingerprint(peer)
    if stamp.exists() and stamp.read_text() == fingerprint:
        return "up to date"
    stamp.unlink(missing_ok=True)
    if peer.made_by != "python" and shutil.which(peer.made_by) is None:
        return f"left out: {peer.made_by} is not on this machine"
    try:
        RECIPES[peer.made_by](peer)
    except subprocess.CalledProcessError as error:
        last = "\n".join(error.stderr.strip().splitlines()[-LAST_LINES:])
        return f"left out: {Path(error.cmd[0]).name} failed\n{last}"
    stamp.write_text(fingerprint)
    return "built"


def _fingerprint(peer: Peer) -> str:
    """Changes with all that a built peer depends on; Python's programs run where they are."""
    digest = sha256(repr((peer.packages, EVERY_PYTHON, sys.version)).encode())
    if peer.folder:
        for path in sorted((PEERS_DIRECTORY / peer.folder).rglob("*")):
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _run(*words: Path | str, directory: Path = PEERS_DIRECTORY) -> None:
    subprocess.run(
        words,
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in PEERS]:
        print(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}", file=sys.stderr)
        return 2
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in names or PEERS:
        print(f"{name}: ", end="", flush=True)
        print(build(PEERS[name]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
