"""Agent ids as the shared vectors have them, wherever one is named."""

import json
import sys
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dscore.agent_ids import WHITE_SPACE, has_control, trimmed
from dscore.cli.client import agent_path
from dscore.cli.errors import USAGE, CliError
from dscore.messages import AppReady, Heartbeat, Refusal, parse
from fake_fleet import FakeFleet
from test_http_app import client_of

VECTORS = json.loads((Path(__file__).parent / "vectors" / "agent_ids.json").read_bytes())
KINDS = {
    "app_ready": "instance_id",
    "heartbeat": "clientName",
    "reconnection_success": "clientName",
    "client_status_request": "clientName",
}
each_vector = pytest.mark.parametrize("case", VECTORS, ids=lambda case: ascii(case["sent"])[:40])


@each_vector
@pytest.mark.parametrize("kind", KINDS)
def test_a_message_names_the_agent_that_the_vector_says(case: dict[str, Any], kind: str) -> None:
    text = json.dumps({"type": kind, KINDS[kind]: case["sent"]}).encode()
    if case["code"] is None:
        assert parse(kind, text).agent_id == case["id"]  # type: ignore[union-attr]
    else:
        with pytest.raises(Refusal) as refused:
            parse(kind, text)
        assert (refused.value.code, refused.value.request_type) == (case["code"], kind)


@each_vector
def test_a_command_names_the_same_agent(case: dict[str, Any]) -> None:
    if case["code"] is None:
        assert agent_path(case["sent"]) == agent_path(case["id"])
    elif len(case["sent"]) < 129 and len(case["sent"].encode()) < 129:
        with pytest.raises(CliError, match="no agent id") as refused:
            agent_path(case["sent"])
        assert refused.value.code == USAGE


@each_vector
async def test_a_path_and_a_query_name_the_same_agent(case: dict[str, Any]) -> None:
    known = case["id"] or "another"
    async with client_of(FakeFleet(known)) as client:
        path = f"/api/v1/agents/{quote(case['sent'], safe='')}"
        health = await client.get("/deepstream/health", params={"instance_id": case["sent"]})
        answer = await client.get(path)
        if case["code"] is None:
            assert answer.json()["id"] == case["id"]
        else:
            assert answer.status_code in (400, 404, 422)
            assert (answer.status_code == 400) == has_control(trimmed(case["sent"]))
        assert health.json()["instance_connected"] is (case["code"] is None)


def test_white_space_and_control_characters_are_those_of_unicode() -> None:
    everything = map(chr, range(sys.maxunicode + 1))
    controls = [char for char in everything if unicodedata.category(char) == "Cc"]
    assert all(has_control(char) for char in controls)
    assert sum(has_control(chr(code)) for code in range(sys.maxunicode + 1)) == len(controls)
    # What Python strips beside it are the separators of ASCII, which are control characters.
    stripped = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}
    assert stripped - set(WHITE_SPACE) == set("\x1c\x1d\x1e\x1f")
    assert set(WHITE_SPACE) <= stripped


def test_surrogates_in_an_introduction_are_read_as_the_replacement_character() -> None:
    ready = parse(
        "app_ready",
        b'{"type":"app_ready","instance_id":" a\\ud800 ","token":"\\udc00","config":{"\\udfff":1}}',
    )
    assert isinstance(ready, AppReady)
    assert (ready.agent_id, ready.token) == ("a\ufffd", "\ufffd")
    assert ready.config == '{"\ufffd":1}'.encode()
    beat = parse("heartbeat", b'{"type":"heartbeat","clientName":"\\ud800"}')
    assert isinstance(beat, Heartbeat)
    assert beat.agent_id == "\ufffd"
