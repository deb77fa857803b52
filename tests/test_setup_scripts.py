"""What `make setup-gst` and `make setup-browser` say where all is there already."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def last_line(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [SCRIPTS / script, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.skipif(
    importlib.util.find_spec("gi") is None, reason="no GStreamer for Python here: make setup-gst"
)
def test_setup_gst_ends_with_the_version_of_gstreamer() -> None:
    """It printed nothing: whether it had done its work was not to be seen."""
    assert re.fullmatch(
        r"GStreamer \d+\.\d+\.\d+.* is ready", last_line("setup-gst", sys.executable)
    )


@pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver") and shutil.which("fc-list")),
    reason="no chromium with chromedriver: make setup-browser installs them",
)
def test_setup_browser_ends_with_the_versions_that_are_there() -> None:
    found = last_line("setup-browser")
    assert re.fullmatch(r"Chromium \d\S* .*with ChromeDriver \d\S* is ready", found)
