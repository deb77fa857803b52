"""Writes `reconnect.json`, `frames.json` and `ini.json` anew: `python -m tests.vectors`.

The waits of PROTOCOL.md §7 as situations and what follows: every client of ours reads the file, in
whatever language it is written, and must come to the same. All times are seconds, unless the name
of a field says otherwise.
"""

import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dscore_agent.conversation import milliseconds
from dscore_agent.reconnect import Reconnector, ReconnectPolicy, Row, row_of
from vectors import frames, ini

HERE = Path(__file__).parent

POLICIES = {
    "agent": ReconnectPolicy(),
    "agent, exact": ReconnectPolicy(jitter=False),
    "agent, steady": ReconnectPolicy(jitter=False, exponential=False),
    "page": ReconnectPolicy(cap=30.0),
    "page, exact": ReconnectPolicy(cap=30.0, jitter=False),
}
CLOSES = [
    (1000, "Client terminated"),
    (1000, ""),
    (1001, "Server shutting down gracefully"),
    (1001, "Server shutdown timeout"),
    (1005, ""),
    (1006, ""),
    (1008, "authentication failed"),
    (1008, "authentication timeout"),
    (1008, "too many errors"),
    (1011, "ping timeout"),
    (1013, "Server shutting down"),
    (1013, "Server temporarily unavailable"),
    (1013, "slow consumer"),
    (4409, "taken over"),
    (4409, ""),
]
FINAL_FOR_PAGES = (Row.TAKEN_OVER, Row.UNAUTHENTICATED)
"""A page does not come back from these by itself; an agent does."""
ATTEMPTS = [*range(14), 100, 100_000]
DRAWS = [0.0, 0.5, 0.999]
HINTS = [None, "5000", True, -1, 0, 1, 999, 1000, 7250, 3_600_000, 3_600_001, 1e300]
"""What `reconnectAfter` may hold, in milliseconds or not at all."""


def rows() -> list[dict[str, Any]]:
    """The row of each close, for agents and for pages."""
    found = []
    for code, reason in CLOSES:
        row = row_of(code, reason)
        page = Row.FINAL if row in FINAL_FOR_PAGES else row
        found.append({"code": code, "reason": reason, "agent": row.value, "page": page.value})
    return found


def waits() -> list[dict[str, Any]]:
    """The wait before attempt n, for each row, policy and draw."""
    found = []
    for (name, policy), row, n in itertools.product(POLICIES.items(), Row, ATTEMPTS):
        if row is Row.FINAL:
            continue
        for draw in DRAWS if policy.jitter else [0.0]:
            wait = policy.delay(row, n, lambda draw=draw: draw)
            found.append({"policy": name, "row": row.value, "n": n, "draw": draw, "wait": wait})
    return found


def hints() -> list[dict[str, Any]]:
    """What a `reconnectAfter` comes to after a 1001; one that is no duration leaves the table."""
    found = []
    for value in HINTS:
        one = Reconnector(POLICIES["agent, exact"], lambda: 0.0)
        one.begin()
        one.opened(0.0)
        seconds = milliseconds(value)
        if seconds is not None:
            one.hinted(seconds)
        found.append({"reconnectAfter": value, "wait": one.closed(1001, "", 60.0)})
    return found


def lives() -> list[dict[str, Any]]:
    """Whole lives of the machine: what happens, and the wait that follows, if one does."""
    opened = {"event": "opened", "now": 0.0}
    steps = {
        "a connection of 10 s sets the count back": [
            *({"event": "refused", "row": "other"}, {"event": "due"}) * 3,
            opened,
            {"event": "closed", "code": 1006, "reason": "", "now": 9.9},
            {"event": "due"},
            opened,
            {"event": "closed", "code": 1006, "reason": "", "now": 10.0},
        ],
        "a hint counts once": [
            opened,
            {"event": "hinted", "seconds": 7.25},
            {"event": "closed", "code": 1001, "reason": "", "now": 60.0},
            {"event": "due"},
            {"event": "refused", "row": "other"},
        ],
        "each failure waits as its own cause demands": [
            opened,
            {"event": "closed", "code": 1001, "reason": "", "now": 60.0},
            {"event": "due"},
            {"event": "refused", "row": "shutting_down"},
            {"event": "due"},
            {"event": "refused", "row": "other"},
        ],
        "Retry-After is a hint": [
            {"event": "refused", "row": "other", "retry_after": 42.0},
            {"event": "due"},
            {"event": "refused", "row": "other", "retry_after": 0.0},
            {"event": "due"},
            {"event": "refused", "row": "other", "retry_after": 1e9},
        ],
        "taken over, it asks and waits twice as long each time": [
            opened,
            {"event": "closed", "code": 4409, "reason": "taken over", "now": 3600.0},
            {"event": "due"},
            {"event": "refused", "row": "taken_over"},
            {"event": "due"},
            {"event": "refused", "row": "taken_over"},
        ],
        "new credentials wait as anything else": [
            opened,
            {"event": "closed", "code": 1008, "reason": "authentication failed", "now": 0.1},
            {"event": "renewed"},
            {"event": "due"},
            opened,
            {"event": "closed", "code": 1008, "reason": "authentication failed", "now": 0.1},
        ],
        "terminated, it stays away": [
            opened,
            {"event": "closed", "code": 1000, "reason": "Client terminated", "now": 60.0},
        ],
    }
    return [
        {"name": name, "policy": "agent, exact", "steps": [*played(events)]}
        for name, events in steps.items()
    ]


def played(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps with what follows from each; `wait` null: it does not come back."""
    one = Reconnector(POLICIES["agent, exact"], lambda: 0.0)
    one.begin()
    found = []
    for step in steps:
        fields = {name: value for name, value in step.items() if name != "event"}
        if "row" in fields:
            fields["row"] = Row(fields["row"])
        answer = getattr(one, step["event"])(**fields)
        waits = step["event"] in ("refused", "closed", "renewed")
        found.append({**step, "attempts": one.attempts, **({"wait": answer} if waits else {})})
    return found


def document() -> str:
    """The file's text."""
    policies = {name: asdict(policy) for name, policy in POLICIES.items()}
    parts = {"rows": rows(), "waits": waits(), "hints": hints(), "lives": lives()}
    lines = [
        f' "{key}": [\n  ' + ",\n  ".join(map(json.dumps, part)) + "\n ]"
        for key, part in parts.items()
    ]
    return "{\n" + ",\n".join([f' "policies": {json.dumps(policies)}', *lines]) + "\n}\n"


def documents() -> dict[str, str]:
    """Each file's name and text."""
    lists = {"frames": frames.document(), "ini": ini.document()}
    return {
        "reconnect.json": document(),
        **{f"{name}.json": json.dumps(one, indent=1) + "\n" for name, one in lists.items()},
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (HERE / name).write_text(text)
