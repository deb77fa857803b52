"""The operator's token that a server makes where none is configured (PROTOCOL.md §2, "Power")."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote

from dscore import operator_token
from dscore.auth import Keyring, Tokens, readable_token_files
from dscore.config import AuthConfig
from dscore.log import get_logger

_log = get_logger("dscore.auth")


class OwnToken:
    """One token for the life of a server, in a file where the command line is to find it."""

    def __init__(self, *, leaves_file: bool) -> None:
        self.value = operator_token.make_token()
        self._leaves_file = leaves_file
        self._left: Path | None = None
        self._is_new = False
        """Whether the file is this server's, not one that lay there."""

    def unless(self, configured: Keyring, address: tuple[str, int]) -> Keyring:
        """All tokens, those of operators as they are configured, or else this one, left in its
        file. Signed tokens change nothing of that: who is on the machine can always operate."""
        if configured.operators:
            if self._leaves_file:
                operator_token.withdraw(*address, os.environ)
            return configured
        if self._leaves_file:
            self._leave(address)
        return replace(configured, operators=Tokens.generated(self.value))

    def take_back(self) -> None:
        """Removes the file: of a port that the kernel chose, which no later server will have."""
        if self._left is not None:
            with suppress(OSError):
                self._left.unlink()

    def start_failed(self) -> None:
        """Removes the file that this start has made: the next server at the address may be a
        program, which does not know it. One of before stays, as at the end of a server."""
        if self._is_new:
            self.take_back()

    def _leave(self, address: tuple[str, int]) -> None:
        try:
            left = operator_token.leave(*address, self.value, os.environ)
        except OSError as error:
            # The token stays, and only this process knows it: what changes anything is closed.
            _log.warning(
                "operator_token_not_left",
                reason=str(error),
                effect="POST and DELETE of the operator API are closed",
                remedy="set auth.operator_token_file, or XDG_RUNTIME_DIR to a directory of "
                "this user that others cannot write to",
            )
            return
        self._is_new = left.token == self.value
        self.value, self._left = left.token, left.path
        _log.info("operator_token_left", path=str(left.path))


def warn_of_readable_files(auth: AuthConfig) -> None:
    """Names each token file that others than its owner can read."""
    for setting, path in readable_token_files(auth):
        _log.warning(
            "token_file_readable",
            setting=setting,
            path=str(path),
            remedy=f"chmod 600 {quote(str(path))}",
        )
