"""The C client's own unit tests, as part of the suite."""

import subprocess
import sys
from pathlib import Path

import pytest

from c_client import needs_c

pytestmark = needs_c


@pytest.mark.parametrize(
    "name", ["message", "reconnect", "text", "config", "dial", "renewal", "host"]
)
def test_unit(c_build: Path, name: str) -> None:
    done = subprocess.run(
        [c_build / "tests" / f"test-{name}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_autobahn_s_cases_are_strict_passes(c_build: Path) -> None:
    """All of 1-7, 9 and 10, with Autobahn as the server."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.compliance.client", str(c_build)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
