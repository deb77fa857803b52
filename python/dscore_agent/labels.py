"""Labels in `app_config`: what the server would leave out of them (PROTOCOL.md §2)."""

from collections.abc import Mapping
from typing import Any

MAX_LABELS = 16
MAX_NAME = 63
"""Characters."""
MAX_VALUE = 128
"""Characters."""


def faults(app_config: Mapping[str, Any]) -> list[str]:
    """What the server would leave out, each with what it must be."""
    labels = app_config.get("labels", {})
    if not isinstance(labels, dict):
        return ["labels must be an object of short texts"]
    found = [
        f"labels.{name} {fault}" for name, value in labels.items() if (fault := _fault(name, value))
    ]
    if len(labels) - len(found) > MAX_LABELS:
        found.append(f"labels must be at most {MAX_LABELS}")
    return found


def _fault(name: str, value: object) -> str | None:
    if not isinstance(value, str):
        return "must be a text"
    if not 0 < len(name) <= MAX_NAME or "=" in name:
        return f"must have a name of 1 to {MAX_NAME} characters without ="
    if len(value) > MAX_VALUE:
        return f"must have at most {MAX_VALUE} characters"
    return None
