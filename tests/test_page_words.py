"""What the fleet page says: both languages whole, and a word for each code of the server."""

import json
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from dscore.http.serialize import OUTCOMES
from dscore.http.waves import BulkOutcome, State
from dscore.messages import ReasonCode
from dscore.states import State as AgentState
from js_stage import NODE

SRC = Path(__file__).parent.parent / "clients" / "page" / "src"
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node: https://nodejs.org")
STAND_INS = """
    globalThis.localStorage = { getItem: () => null, setItem() {} };
    Object.defineProperty(globalThis, "navigator", { value: { language: "en" } });
    globalThis.document = { documentElement: {} };
"""


def evaluate(body: str) -> Any:
    """What a module of the page says of itself, in Node with what it takes of a browser."""
    script = (
        f"{STAND_INS}\nconst words = await import({json.dumps(str(SRC / 'words.js'))});\n{body}"
    )
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def flat(alias: object) -> set[str]:
    """The strings of a literal type, or of a union of some."""
    parts = get_args(alias)
    return {word for part in parts for word in ({part} if isinstance(part, str) else flat(part))}


CODES = flat(ReasonCode) | flat(BulkOutcome) | set(OUTCOMES) | {"incomplete"}
CODES |= flat(State) - {"running"}


def test_both_languages_say_the_same() -> None:
    languages = evaluate("console.log(JSON.stringify(words.LANGUAGES))")
    english, korean = languages["en"], languages["ko"]
    assert english.keys() == korean.keys()
    for name, text in english.items():
        holes = {hole for hole in "01234" if f"{{{hole}}}" in text}
        assert {hole for hole in "01234" if f"{{{hole}}}" in korean[name]} == holes, name
        assert korean[name], name


def test_each_word_is_said_somewhere() -> None:
    """Dead words were found among them."""
    sources = [each.read_text() for each in SRC.glob("*.js") if each.name != "words.js"]
    for name in evaluate("console.log(JSON.stringify(words.LANGUAGES.en))"):
        assert any(f'"{name}"' in text or f"{name}:" in text for text in sources), name


@pytest.mark.parametrize("language", ["en", "ko"])
def test_each_code_of_the_server_has_a_word(language: str) -> None:
    """The outcome "error" had none, and broke the dialog that shows it."""
    found = evaluate(
        f"words.speak({json.dumps(language)});"
        f"console.log(JSON.stringify({json.dumps(sorted(CODES))}.map(words.told)))"
    )
    assert all(found)
    if language == "ko":
        assert not [each for each in found if each.isascii()]


@pytest.mark.parametrize(
    ("language", "spans"),
    [
        ("en", ["0 s", "59 s", "1 min", "1 h 1 min", "2 d 3 h"]),
        ("ko", ["0초", "59초", "1분", "1시간 1분", "2일 3시간"]),
    ],
)
def test_durations_are_told_in_the_units_of_the_language(language: str, spans: list[str]) -> None:
    """The Korean table said "s" and "min"."""
    found = evaluate(
        f"const {{ span }} = await import({json.dumps(str(SRC / 'format.js'))});"
        f"words.speak({json.dumps(language)});"
        "console.log(JSON.stringify([0, 59.9, 60, 3661, 183_660].map(span)))"
    )
    assert found == spans


def test_a_code_without_a_word_is_shown_as_it_is() -> None:
    codes = ["of_a_newer_server", "constructor", "__proto__", "", None]
    found = evaluate(f"console.log(JSON.stringify({json.dumps(codes)}.map(words.told)))")
    assert found == ["of a newer server", "constructor", "  proto  ", "", ""]


def test_each_state_of_an_agent_is_one_of_the_five() -> None:
    found = evaluate(
        f"const fleet = await import({json.dumps(str(SRC / 'fleet.js'))});"
        "console.log(JSON.stringify(fleet.CONDITIONS))"
    )
    states = [state for states in found.values() for state in states]
    assert sorted(states) == sorted(get_args(AgentState))
    assert flat(AgentState)
