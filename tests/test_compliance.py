"""The Autobahn cases, in a process of their own: their runner patches the one it runs in."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_autobahn_case_passes_strictly() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.compliance"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr[-2000:]
