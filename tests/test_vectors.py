"""The vectors that all clients share say what the agent does, and what the contract says."""

import contextlib
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from vectors import frames

VECTORS = Path(__file__).parent / "vectors"


@pytest.mark.parametrize("name", ["reconnect.json", "frames.json", "ini.json"])
def test_the_file_is_what_the_agent_s_machine_makes(name: str) -> None:
    made = runpy.run_path(str(VECTORS / "__main__.py"), run_name="made")["documents"]()
    remedy = "write it anew: PYTHONPATH=tests python -m tests.vectors"
    assert (VECTORS / name).read_text() == made[name], remedy


@pytest.mark.parametrize(
    "case", [one for one in frames.cases() if one["rfc"]], ids=lambda one: one["name"]
)
def test_another_client_hears_the_same_in_these_frames(case: dict[str, Any]) -> None:
    """An independent reader of the RFC: the cases were written by hand."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    client.receive_data(frames.unpacked(case["bytes"]))
    events: list[list[Any]] = []
    text = b""
    for frame in client.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            text += bytes(frame.data)
            if frame.fin:
                with contextlib.suppress(UnicodeDecodeError):
                    text.decode()
                    events.append(["text", frames.packed(text)])
                text = b""
        elif frame.opcode is Opcode.PING:
            events.append(["ping", bytes(frame.data).hex()])
    fails = [event for event in case["events"] if event[0] == "fail"]
    if not client.parser_exc and client.close_rcvd:
        events.append(["close", client.close_rcvd.code, client.close_rcvd.reason])
    heard = [event for event in case["events"] if event[0] != "fail"]
    # That one leaves it to its shell to decode text.
    assert events == heard
    if fails and fails != [["fail", 1007]]:
        assert client.parser_exc is not None
        assert client.close_sent is not None
        assert client.close_sent.code == fails[0][1]


def test_reconnect_7_the_table_of_the_contract() -> None:
    """By hand from PROTOCOL.md §7: a fault in the machine must not reach the other clients."""
    found = json.loads((VECTORS / "reconnect.json").read_text())
    exact = {
        (one["policy"], one["row"], one["n"]): one["wait"]
        for one in found["waits"]
        if "exact" in one["policy"]
    }
    table = {
        "going_away": [5, 5, 5, 8, 16, 32, 60],
        "shutting_down": [10, 15, 20, 25, 30, 35, 40],
        "other": [1, 2, 4, 8, 16, 32, 60],
        "taken_over": [300, 600, 1200, 2400, 3600, 3600, 3600],
        "unauthenticated": [300, 600, 1200, 2400, 3600, 3600, 3600],
    }
    for row, waits in table.items():
        assert [exact["agent, exact", row, n] for n in range(7)] == waits
    assert [exact["page, exact", "other", n] for n in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [exact["page, exact", "shutting_down", n] for n in range(7)] == [
        *(10, 15, 20, 25, 30, 30, 30)
    ]
    rows = {(one["code"], one["reason"]): (one["agent"], one["page"]) for one in found["rows"]}
    assert rows[1000, "Client terminated"] == ("final", "final")
    assert rows[4409, "taken over"] == ("taken_over", "final")
    assert rows[1008, "authentication failed"] == ("unauthenticated", "final")
    assert rows[1008, "too many errors"] == ("other", "other")
    assert [(one["reconnectAfter"], one["wait"]) for one in found["hints"]] == [
        *((None, 5), ("5000", 5), (True, 5), (-1, 5), (0, 1), (1, 1), (999, 1), (1000, 1)),
        *((7250, 7.25), (3_600_000, 3600), (3_600_001, 3600), (1e300, 3600)),
    ]
