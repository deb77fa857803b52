"""Builds what a bench needs: the floor and the fleet. Takes no time when they are up to date."""

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
    load: Path


def build() -> Programs:
    return Programs(floor=_build_floor(), load=_build_load())


def _build_floor() -> Path:
    BUILD.mkdir(exist_ok=True)
    floor = BUILD / "floor"
    source = BENCHES / "floor" / "floor.c"
    subprocess.run(["cc", "-O3", "-march=native", "-o", floor, source], check=True)
    return floor


def _build_load() -> Path:
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "dscore-load"]
    built = subprocess.run(
        [*command, "--message-format", "json"], cwd=BENCHES, stdout=subprocess.PIPE, check=True
    )
    artifacts = map(json.loads, built.stdout.splitlines())
    return next(Path(one["executable"]) for one in artifacts if one.get("executable"))
