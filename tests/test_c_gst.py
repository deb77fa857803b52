"""The C client's own tests of pipelines, each a program of clients/c/tests."""

import re
import subprocess
from pathlib import Path

import pytest

from c_client import needs_c

pytestmark = needs_c

SECONDS = 120


LONG = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("stop", "ends", "hangs", "transport", "odd")
]
"""They wait for what never comes."""


@pytest.mark.parametrize("name", ["events", "binding", "keeper", *LONG])
def test_the_unit_tests_in_c(c_gst_build: Path, name: str) -> None:
    """All of them pass; what one of them skips, it says why."""
    done = subprocess.run(
        [str(c_gst_build / "tests" / "gst" / f"test-gst-{name}")],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ok \d+ (?!.*# SKIP)", done.stdout, re.MULTILINE)
