"""Labels: what a fleet calls its agents by, besides their ids.

An agent brings them in the `config` of its app_ready, as an object of short strings:

    {"type": "app_ready", "instance_id": "cam-17",
     "config": {"labels": {"site": "busan", "line": "3"}}}

They choose agents in the operator API (`label=site=busan`) and on the command line (`--label`).
They come from the network, so whatever is too much or no string is left out, never an error; and
they are never labels of a metric.
"""

from functools import lru_cache
from typing import TypeAlias

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


def _fits(name: str, value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(name) <= MAX_NAME
        and "=" not in name
        and len(value) <= MAX_VALUE
    )
