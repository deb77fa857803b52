"""The vectors that all clients share say what the agent does, and what the contract says."""

import json
import runpy
from pathlib import Path

VECTORS = Path(__file__).parent / "vectors"


def test_the_file_is_what_the_agent_s_machine_makes() -> None:
    made = runpy.run_path(str(VECTORS / "__main__.py"), run_name="vectors")["document"]()
    remedy = "write it anew: python -m tests.vectors"
    assert (VECTORS / "reconnect.json").read_text() == made, remedy


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
