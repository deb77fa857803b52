"""Tokens of files and lists.

A file has one token a line, and behind it what it is good for:

    Zk3v7pXq                            # nothing more: the role of its file
    Qm4tR8sW  agent=cam-17  name=cam-17
    sha256:9f86d081884c7d65…  agent=cam-north-*,cam-south-*
    T7uYw2Lp  role=watcher  name=wall-display

Blank lines and lines that begin with `#` are skipped.
"""

from __future__ import annotations

import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from dscore.auth.grant import Grant, Role
from dscore.errors import ConfigError

if TYPE_CHECKING:
    from dscore.config import AuthConfig

MAX_TOKEN_BYTES = 1024
"""A longer candidate is refused without being hashed: a peer decides how long it is."""
GENERATED = "generated"
"""The name of a token that a server has made itself."""

_HASHED = "sha256:"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,64}")
_ROLES_OF_FILE: dict[Role, tuple[Role, ...]] = {
    "agent": ("agent",),
    "operator": ("operator", "watcher"),
}


class Tokens:
    """A set of tokens that can be asked what one is good for, and never gives one away.

    Kept and looked up as digests under a key of this process. How long a look-up takes then
    depends on digests that no peer can predict, so it tells nothing about how much of a guess was
    right, and it costs the same for one token as for one token for each of 18,000 agents.
    (`hmac.compare_digest` over all of them would cost milliseconds a call.) The name of a token is
    where it stands, such as "operators.tokens:3", unless its line has another: logs tell by it
    whose token was used.
    """

    __slots__ = ("_grants", "_key", "_role")

    def __init__(
        self, tokens: Iterable[str] = (), *, label: str = "tokens", role: Role = "agent"
    ) -> None:
        """Takes tokens that are named by the label and their number, from 1.

        Args:
            role: of those that do not say another.
        """
        self._key = secrets.token_bytes(32)
        self._grants: dict[bytes, Grant] = {}
        self._role = role
        for number, token in enumerate(tokens, 1):
            name = f"{label}:{number}"
            self._add(name, token, Grant(name, frozenset((role,))))

    @classmethod
    def generated(cls, token: str) -> Tokens:
        """The one operator's token that a server has made itself."""
        made = cls(role="operator")
        made._add(GENERATED, token, Grant(GENERATED, frozenset(("operator",))))
        return made

    @classmethod
    def from_settings(
        cls,
        token_file: Path | None,
        tokens: Iterable[str] = (),
        *,
        setting: str = "auth.token_file",
        role: Role = "agent",
    ) -> Tokens:
        """The tokens of a file and of a list, together.

        Args:
            setting: what to call the file in an error.
            role: of those that do not say another.

        Raises:
            ConfigError: the file cannot be read, holds no token, or a line of it is wrong.
        """
        given = cls(tokens, label=setting.removesuffix("_file") + "s", role=role)
        if token_file is not None:
            for number, line in _read(token_file, setting):
                given._add_line(token_file, number, line)
        return given

    def find(self, candidate: str | None) -> Grant | None:
        """What a token is good for; None: it is none of these, as None and "" never are."""
        if not candidate or len(candidate) > MAX_TOKEN_BYTES:
            return None
        # surrogatepass: a header may hold bytes that are not UTF-8; they must miss, not raise.
        digest = sha256(candidate.encode(errors="surrogatepass")).digest()
        return self._grants.get(self._keyed(digest))

    def __len__(self) -> int:
        return len(self._grants)

    def __repr__(self) -> str:
        return f"Tokens({len(self)})"

    def _add_line(self, path: Path, number: int, line: str) -> None:
        place = f"{path}, line {number}"
        token, *words = line.split()
        name, roles, agents = f"{path.name}:{number}", frozenset((self._role,)), None
        for word in words:
            key, is_given, value = word.partition("=")
            if key == "name" and _NAME.fullmatch(value):
                name = f"{name}({value})"
            elif key == "role" and value in _ROLES_OF_FILE[self._role]:
                roles = frozenset(role for role in _ROLES_OF_FILE[self._role] if role == value)
            elif key == "agent" and self._role == "agent" and all(value.split(",")):
                agents = (*(agents or ()), *value.split(","))
            else:
                raise ConfigError(f"{place}: {_known(self._role)}, not {_shown(key, is_given)}")
        self._add(place, token, Grant(name, roles, agents))

    def _add(self, place: str, token: str, grant: Grant) -> None:
        if token.startswith(_HASHED):
            text = token.removeprefix(_HASHED)
            if not _DIGEST.fullmatch(text):
                raise ConfigError(
                    f"{place}: {_HASHED} must be followed by 64 hexadecimal digits: "
                    "printf %s TOKEN | sha256sum"
                )
            digest = bytes.fromhex(text)
        else:
            if len(token.encode()) > MAX_TOKEN_BYTES:
                raise ConfigError(
                    f"{place}: the token is longer than {MAX_TOKEN_BYTES} bytes: shorten it"
                )
            digest = sha256(token.encode()).digest()
        self._grants.setdefault(self._keyed(digest), grant)

    def _keyed(self, digest: bytes) -> bytes:
        return blake2b(digest, key=self._key).digest()


def token_files(auth: AuthConfig) -> dict[str, Path | None]:
    """The token files, by the settings that name them."""
    return {
        "auth.token_file": auth.token_file,
        "auth.operator_token_file": auth.operator_token_file,
    }


def readable_token_files(auth: AuthConfig) -> Iterator[tuple[str, Path]]:
    """The token files that others than their owner can read: setting, path."""
    for setting, path in token_files(auth).items():
        if path is not None and _mode(path) & (stat.S_IRGRP | stat.S_IROTH):
            yield setting, path


def _known(role: Role) -> str:
    if role == "agent":
        return "behind a token may stand agent=ID and name=NAME"
    return "behind a token may stand role=operator, role=watcher and name=NAME"


def _shown(key: str, is_given: str) -> str:
    # A second word may be the rest of a secret.
    return f"that {key}=" if is_given and key in ("name", "role", "agent") else "another word"


def _read(path: Path, setting: str) -> Iterator[tuple[int, str]]:
    """The lines of a file that have a token, each with its number."""
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
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            found += 1
            yield number, stripped
    if not found:
        raise ConfigError(f"{setting} = {path}: holds no token: write at least one, one a line")


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # Gone since it was read: the next reading says so.
        return 0
