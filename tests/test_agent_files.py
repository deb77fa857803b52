"""The files that are handed out with the agent say what the agent understands."""

from pathlib import Path

from dscore_agent import AgentConfig, load
from dscore_agent.config import _SETTINGS

ROOT = Path(__file__).parent.parent


def test_the_example_file_has_every_key_and_the_defaults(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "websocket_config.txt").read_text()
    path = tmp_path / "websocket_config.txt"
    path.write_text(text)
    assert load(path) == AgentConfig()
    keys = {line.lstrip("#").partition("=")[0] for line in text.splitlines() if "=" in line}
    assert keys | {"token"} == set(_SETTINGS)


def test_the_page_names_every_key() -> None:
    page = (ROOT / "docs" / "agent.md").read_text()
    assert [key for key in _SETTINGS if f"`{key}`" not in page] == []


def test_the_unit_s_exit_codes_are_the_agent_s() -> None:
    unit = (ROOT / "packaging" / "dscore-agent.service").read_text()
    assert "RestartPreventExitStatus=2 3 5\n" in unit
