"""`config check`: every setting, its value and where that comes from."""

import os
from pathlib import Path
from shlex import quote

from dscore.auth import read_keyring, readable_token_files
from dscore.cli import output
from dscore.cli.errors import OK
from dscore.config import load, rows


def check(path: Path | None, *, as_json: bool) -> int:
    """Reads the configuration as `serve` does, token files included.

    Raises:
        ConfigError: Something is wrong with it.
    """
    loaded = load(path, environ=os.environ)
    read_keyring(loaded.config.auth)
    for setting, file in readable_token_files(loaded.config.auth):
        output.complain(
            f"warning: {setting} = {file}: others can read it: chmod 600 {quote(str(file))}"
        )
    for warning in loaded.warnings:
        output.complain(f"warning: {warning}")
    if as_json:
        output.json({row.key: {"value": row.value, "origin": row.origin} for row in rows(loaded)})
        return OK
    table = ((row.key, _written(row.value), row.origin) for row in rows(loaded))
    output.table(("SETTING", "VALUE", "FROM"), table)
    return OK


def _written(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
