"""Labels: what a fleet calls its agents by, besides their ids.

An agent brings them in the `config` of its app_ready, as an object of short strings:

    {"type": "app_ready", "instance_id": "cam-17",
     "config": {"labels": {"site": "busan", "line": "3"}}}

They choose agents in the operator API (`label=site=busan`) and on the command line (`--label`).
They come from the network, so whatever is too much or no string is left out, never an error; and
they are never labels of a metric.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

MAX_LABELS = 16
MAX_NAME = 63
"""Characters."""
MAX_VALUE = 128
"""Characters."""

Labels: TypeAlias = tuple[str, ...]
"""Each is `name=value`: less than a dict for each of 100,000 agents, and one string for all that
share it."""


def read_labels(config: bytes | None) -> Labels:
    """The labels in a config, sorted."""
    # Mostly there are none, and a config may be long.
    if config is None or b'"labels"' not in config:
        return ()
    labels = orjson.loads(config).get("labels")
    if not isinstance(labels, dict):
        return ()
    pairs = (_shared(f"{name}={value}") for name, value in labels.items() if _fits(name, value))
    return tuple(sorted(pairs)[:MAX_LABELS])


def as_dict(labels: Labels) -> dict[str, str]:
    return {name: value for name, _, value in (label.partition("=") for label in labels)}


@lru_cache(maxsize=4096)
def _shared(label: str) -> str:
    # Not `sys.intern`: some Pythons (3.12) never free what that has seen, and peers choose it.
    return label


def faults(config: Mapping[str, Any]) -> list[str]:
    """What `read_labels` would leave out of a config, each with what it must be."""
    labels = config.get("labels", {})
    if not isinstance(labels, dict):
        return ["labels must be an object of short texts"]
    found = [
        f"labels.{name} {fault}" for name, value in labels.items() if (fault := _fault(name, value))
    ]
    if len(labels) - len(found) > MAX_LABELS:
        found.append(f"labels must be at most {MAX_LABELS}")
    return found


def _fits(name: str, value: object) -> bool:
    return _fault(name, value) is None


def _fault(name: str, value: object) -> str | None:
    if not isinstance(value, str):
        return "must be a text"
    if not 0 < len(name) <= MAX_NAME or "=" in name:
        return f"must have a name of 1 to {MAX_NAME} characters without ="
    if len(value) > MAX_VALUE:
        return f"must have at most {MAX_VALUE} characters"
    return None
