"""The C client, built once for all the tests that need it, whichever worker comes first."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "c"
"""Where `make c` builds it."""
TOOLS = ("meson", "ninja", "cc", "pkg-config")
BUILD_SECONDS = 300


def built(*packages: str) -> Path:
    """The build directory, up to date.

    Args:
        packages: Of pkg-config, which the parts under test are built with.

    Raises:
        pytest.skip.Exception: The machine has not what it is built with.
    """
    needed = ("gio-2.0", "json-glib-1.0", *packages)
    if not all(map(shutil.which, TOOLS)) or _run("pkg-config", "--exists", *needed).returncode:
        pytest.skip("what the C client is built with is not installed: make setup-c")
    BUILD.parent.mkdir(exist_ok=True)
    with (BUILD.parent / "c.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (BUILD / "build.ninja").exists():
            _must("meson", "setup", str(BUILD), str(ROOT / "clients" / "c"))
        _must("meson", "compile", "-C", str(BUILD))
    return BUILD


def _must(*command: str) -> None:
    done = _run(*command)
    assert done.returncode == 0, done.stdout


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
