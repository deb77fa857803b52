"""Tokens: who may introduce itself, who may operate."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from dscore.errors import ConfigError

if TYPE_CHECKING:
    from dscore.config import AuthConfig

MAX_TOKEN_BYTES = 1024
"""A longer candidate is refused without being hashed: a peer decides how long it is."""


class Tokens:
    """A set of tokens that can be asked whether it holds one, and never gives one away.

    Kept and looked up as digests under a key of this process. How long a look-up takes then
    depends on digests that no peer can predict, so it tells nothing about how much of a guess was
    right, and it costs the same for one token as for one token for each of 18,000 agents.
    (`hmac.compare_digest` over all of them would cost milliseconds a call.)
    """

    __slots__ = ("_digests", "_key")

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        self._key = secrets.token_bytes(32)
        self._digests = frozenset(map(self._digest, tokens))

    @classmethod
    def from_settings(
        cls,
        token_file: Path | None,
        tokens: Iterable[str] = (),
        *,
        setting: str = "auth.token_file",
    ) -> Tokens:
        """The tokens of a file and of a list, together.

        A file holds one token a line; blank lines and lines that begin with `#` are skipped.

        Args:
            setting: what to call the file in an error.

        Raises:
            ConfigError: the file cannot be read, holds no token, or a token is too long.
        """
        given = list(tokens)
        if token_file is not None:
            given += _read(token_file, setting)
        if any(len(token.encode()) > MAX_TOKEN_BYTES for token in given):
            raise ConfigError(
                f"{setting}: a token is longer than {MAX_TOKEN_BYTES} bytes: shorten it"
            )
        return cls(given)

    def allows(self, candidate: str | None) -> bool:
        """Whether `candidate` is one of the tokens. None and "" never are."""
        if not candidate or len(candidate) > MAX_TOKEN_BYTES:
            return False
        return self._digest(candidate) in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    def __repr__(self) -> str:
        return f"Tokens({len(self)})"

    def _digest(self, token: str) -> bytes:
        # surrogatepass: a header may hold bytes that are not UTF-8; they must miss, not raise.
        return blake2b(token.encode(errors="surrogatepass"), key=self._key).digest()


def read_tokens(auth: AuthConfig) -> tuple[Tokens, Tokens]:
    """The tokens of agents, and those of operators.

    Raises:
        ConfigError: as `Tokens.from_settings`.
    """
    operators = "auth.operator_token_file"
    return (
        Tokens.from_settings(auth.token_file, auth.tokens),
        Tokens.from_settings(auth.operator_token_file, auth.operator_tokens, setting=operators),
    )


def _read(path: Path, setting: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(
            f"{setting} = {path}: {why}: give a file that this user can read, with one token a line"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"{setting} = {path}: is not UTF-8 text: write one token a line"
        ) from None
    lines = (line.strip() for line in text.splitlines())
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ConfigError(f"{setting} = {path}: holds no token: write at least one, one a line")
    return found
