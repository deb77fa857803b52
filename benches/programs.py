"""Builds what a bench needs: the floors and the fleet. Takes no time when they are up to date."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

BENCHES = Path(__file__).parent
BUILD = BENCHES / "build"


@dataclass(frozen=True)
class Programs:
    """The built programs."""

    floor: Path
    handoff: Path
    tls_floor: Path
    load: Path


def build() -> Programs:
    return Programs(
        floor=_compiled("floor"),
        handoff=_compiled("handoff"),
        tls_floor=_built("dscore-floor"),
        load=_built("dscore-load"),
    )


def _compiled(name: str) -> Path:
    """One of `floor/`."""
    BUILD.mkdir(exist_ok=True)
    program, source = BUILD / name, BENCHES / "floor" / f"{name}.c"
    subprocess.run(["cc", "-O3", "-march=native", "-pthread", "-o", program, source], check=True)
    return program


def _built(package: str) -> Path:
    """The one program of a package of the workspace."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", package]
    built = subprocess.run(
        [*command, "--message-format", "json"], cwd=BENCHES, stdout=subprocess.PIPE, check=True
    )
    artifacts = map(json.loads, built.stdout.splitlines())
    return next(Path(one["executable"]) for one in artifacts if one.get("executable"))
