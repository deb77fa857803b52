"""The loading of GStreamer, and its absence."""

import subprocess
import sys


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_without_gstreamer_the_error_says_what_to_install() -> None:
    said = run(
        "import sys; sys.modules['gi'] = None\n"
        "try: import dscore_agent.pipeline\n"
        "except ImportError as error: print(error)"
    )
    assert "apt install python3-gi gir1.2-gstreamer-1.0" in said
    assert "docs/agent.md" in said


def test_gstreamer_is_loaded_only_for_a_pipeline() -> None:
    modules = run("import sys, dscore_agent, dscore_agent.embed; print(*sys.modules)").split()
    assert "gi" not in modules
    assert "dscore_agent" in modules
