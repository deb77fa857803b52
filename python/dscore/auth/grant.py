"""What a token that was accepted is good for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

Role: TypeAlias = Literal["agent", "watcher", "operator"]
"""Agents introduce themselves; watchers read; operators change the fleet, and read."""

ROLES: frozenset[Role] = frozenset(get_args(Role))
READERS: frozenset[Role] = frozenset({"watcher", "operator"})
_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Grant:
    """One token's.

    Attributes:
        name: What logs call the token, such as "operators.tokens:3"; never the token itself.
        roles: What its bearer may be.
        agents: Agent ids that it may introduce itself by; `*` in one stands for any characters.
            None: any id.
        claims: Of a JSON Web Token, all that it says; else empty.
    """

    name: str
    roles: frozenset[Role]
    agents: tuple[str, ...] | None = None
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS, repr=False)

    def may_be_agent(self, agent_id: str) -> bool:
        """Whether its bearer may introduce itself by this id."""
        if "agent" not in self.roles:
            return False
        return self.agents is None or any(_fits(agent_id, one) for one in self.agents)

    @property
    def may_read(self) -> bool:
        """Whether its bearer may watch, and read from the operator API."""
        return bool(self.roles & READERS)

    @property
    def may_operate(self) -> bool:
        """Whether its bearer may change the fleet."""
        return "operator" in self.roles


def _fits(agent_id: str, pattern: str) -> bool:
    # Most are ids of one agent: a fleet may have as many patterns as agents.
    return agent_id == pattern if "*" not in pattern else _matches(pattern, agent_id)


def _matches(pattern: str, agent_id: str) -> bool:
    """Piece by piece from the left: no pattern takes longer than its length and the id's."""
    first, *pieces, last = pattern.split("*")
    if not (agent_id.startswith(first) and agent_id.endswith(last)):
        return False
    at, end = len(first), len(agent_id) - len(last)
    for piece in pieces:
        found = agent_id.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end
