"""The C client's own unit tests, as part of the suite."""

import subprocess
from pathlib import Path

import pytest

from c_client import needs_c

pytestmark = needs_c


@pytest.mark.parametrize("name", ["message", "reconnect", "text", "config", "dial"])
def test_unit(c_build: Path, name: str) -> None:
    done = subprocess.run(
        [c_build / "tests" / f"test-{name}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_library_exports_what_its_headers_name_and_no_more(c_build: Path) -> None:
    """The symbols of libdscore are a promise: a change of them is seen here."""
    library = c_build / "src" / "libdscore-1.0.so.0"
    command = ["nm", "--dynamic", "--defined-only", "--format=just-symbols", library]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    listed = Path(__file__).parent.parent / "clients" / "c" / "src" / "dscore.symbols"
    assert sorted(done.stdout.split()) == listed.read_text().split()
