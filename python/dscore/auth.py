"""Tokens: who may introduce itself, who may operate."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from dscore.errors import ConfigError

if TYPE_CHECKING:
    from dscore.config import AuthConfig

MAX_TOKEN_BYTES = 1024
"""A longer candidate is refused without being hashed: a peer decides how long it is."""


GENERATED = "generated"
"""The name of a token that a server has made itself."""


class Tokens:
    """A set of tokens that can be asked for the name of one, and never gives one away.

    Kept and looked up as digests under a key of this process. How long a look-up takes then
    depends on digests that no peer can predict, so it tells nothing about how much of a guess was
    right, and it costs the same for one token as for one token for each of 18,000 agents.
    (`hmac.compare_digest` over all of them would cost milliseconds a call.) The name of a token is
    where it stands, such as "operators.tokens:3": logs tell by it whose token was used.
    """

    __slots__ = ("_key", "_names")

    def __init__(self, tokens: Iterable[str] = (), *, label: str = "tokens") -> None:
        """Takes tokens that are named by the label and their number, from 1."""
        self._key = secrets.token_bytes(32)
        self._names: dict[bytes, str] = {}
        for number, token in enumerate(tokens, 1):
            self._add(f"{label}:{number}", token)

    @classmethod
    def generated(cls, token: str) -> Tokens:
        """The one token that a server has made itself."""
        made = cls()
        made._add(GENERATED, token)
        return made

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
        given = cls(tokens, label=setting.removesuffix("_file") + "s")
        if token_file is not None:
            for number, token in _read(token_file, setting):
                given._add(f"{token_file.name}:{number}", token)
        return given

    def name_of(self, candidate: str | None) -> str | None:
        """The name of a token; None: it is none of these, as None and "" never are."""
        if not candidate or len(candidate) > MAX_TOKEN_BYTES:
            return None
        return self._names.get(self._digest(candidate))

    def allows(self, candidate: str | None) -> bool:
        """Whether `candidate` is one of the tokens."""
        return self.name_of(candidate) is not None

    def _add(self, name: str, token: str) -> None:
        if len(token.encode()) > MAX_TOKEN_BYTES:
            raise ConfigError(
                f"{name}: the token is longer than {MAX_TOKEN_BYTES} bytes: shorten it"
            )
        self._names.setdefault(self._digest(token), name)

    def __len__(self) -> int:
        return len(self._names)

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


def has_operators(auth: AuthConfig) -> bool:
    """Whether a token of an operator is configured."""
    return auth.operator_token_file is not None or bool(auth.operator_tokens)


def readable_token_files(auth: AuthConfig) -> Iterator[tuple[str, Path]]:
    """The token files that others than their owner can read: setting, path."""
    settings = {
        "auth.token_file": auth.token_file,
        "auth.operator_token_file": auth.operator_token_file,
    }
    for setting, path in settings.items():
        if path is not None and _mode(path) & (stat.S_IRGRP | stat.S_IROTH):
            yield setting, path


def _read(path: Path, setting: str) -> Iterator[tuple[int, str]]:
    """The tokens of a file, each with the number of its line."""
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
    found = 0
    for number, line in enumerate(text.splitlines(), 1):
        token = line.strip()
        if token and not token.startswith("#"):
            found += 1
            yield number, token
    if not found:
        raise ConfigError(f"{setting} = {path}: holds no token: write at least one, one a line")


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # Gone since it was read: the next reading says so.
        return 0
