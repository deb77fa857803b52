"""All that a server takes for a token: those of files and lists, signed ones, and its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dscore.auth.grant import Grant
from dscore.auth.tokens import Tokens

if TYPE_CHECKING:
    from dscore.auth.web_tokens import WebTokens
    from dscore.config import AuthConfig


@dataclass(frozen=True, slots=True)
class Keyring:
    """One reading of the settings; a reload makes another.

    Attributes:
        agents: Tokens of agents.
        operators: Tokens of operators and watchers, or the one that the server has made.
        signed: JSON Web Tokens, of any role.
    """

    agents: Tokens
    operators: Tokens
    signed: WebTokens | None = None

    def agent(self, token: str | None, agent_id: str) -> Grant | None:
        """What lets an agent of this id in."""
        grant = self.agents.find(token) or self._signed(token)
        return grant if grant is not None and grant.may_be_agent(agent_id) else None

    def reader(self, token: str | None) -> Grant | None:
        """What lets a watcher or an operator in; only one of them has power."""
        grant = self.operators.find(token) or self._signed(token)
        return grant if grant is not None and grant.may_read else None

    def find(self, token: str | None) -> Grant | None:
        """What a token is good for, in any role."""
        return self.operators.find(token) or self.agents.find(token) or self._signed(token)

    def why_not(self, token: str | None, agent_id: str = "") -> str:
        """Why a token was refused, for the log: its bearer is told nothing of it.

        Args:
            agent_id: Where it was an agent that showed it.
        """
        grant = self.find(token)
        if grant is not None:
            if agent_id and "agent" in grant.roles:
                return f"{grant.name} is for agents of other ids"
            return f"{grant.name} is for {' and '.join(sorted(f'{one}s' for one in grant.roles))}"
        why = "" if self.signed is None else self.signed.why_not(token)
        return why or "it is in no token file"

    def _signed(self, token: str | None) -> Grant | None:
        return None if self.signed is None else self.signed.find(token)


def read_keyring(auth: AuthConfig) -> Keyring:
    """Reads all files.

    Raises:
        ConfigError: one of them cannot be used; says which and why.
    """
    setting = "auth.operator_token_file"
    signed = None
    if auth.jwt_keys is not None:
        # It takes a tenth of a second to import, and most servers have none.
        from dscore.auth.web_tokens import WebTokens

        signed = WebTokens.from_settings(auth.jwt_keys, auth)
    return Keyring(
        Tokens.from_settings(auth.token_file, auth.tokens),
        Tokens.from_settings(
            auth.operator_token_file, auth.operator_tokens, setting=setting, role="operator"
        ),
        signed,
    )


def has_operator_tokens(auth: AuthConfig) -> bool:
    """Whether a token of an operator is configured: else the server makes one."""
    return auth.operator_token_file is not None or bool(auth.operator_tokens)


def has_operators(auth: AuthConfig) -> bool:
    """Whether operators have tokens of their own, signed ones included."""
    return has_operator_tokens(auth) or auth.jwt_keys is not None
