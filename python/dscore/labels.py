"""Labels: what a fleet calls its agents by, besides their ids.

An agent brings them in the `config` of its app_ready, as an object of short strings:

    {"type": "app_ready", "instance_id": "cam-17",
     "config": {"labels": {"site": "busan", "line": "3"}}}

They choose agents in the operator API (`label=site=busan`) and on the command line (`--label`).
They come from the network, so whatever is too much or no string is left out, never an error; and
they are never labels of a metric. The fleet's table reads them (`rust/fleet/src/labels.rs`).
"""

from typing import TypeAlias

Labels: TypeAlias = tuple[str, ...]
"""Each is `name=value`, sorted: less than a dict for each of 100,000 agents, and one string for all
that share it."""


def as_dict(labels: Labels) -> dict[str, str]:
    return {name: value for name, _, value in (label.partition("=") for label in labels)}
