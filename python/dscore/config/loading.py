"""Reading the settings: flags over environment over file over default, and where each came from.

This is not left to pydantic-settings, whose sources merge unseen: here every value keeps its
origin, the environment is an argument, and an unknown key is answered with the nearest one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from dscore.config import legacy_names
from dscore.config.models import SECRETS, Config
from dscore.config.names import KEYS, SECTIONS
from dscore.config.nearest import nearest, unknown_key, unknown_section
from dscore.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT: Final = "default"
"""The origin of a value that no source gave."""

_PREFIX = "DSCORE_"
_FLAGS = {
    "listen.host": "--host",
    "listen.port": "--port",
    "listen.reactors": "--reactors",
    "store.path": "--store",
    "tls.certificates": "--tls-cert",
    "tls.keys": "--tls-key",
    "tls.required": "--insecure",
}
_NONE_GIVEN: Mapping[str, Any] = MappingProxyType({})
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and where each of its values came from."""

    config: Config
    origin: Mapping[str, str]
    """Dotted name -> "default", "file PATH", "environment DSCORE_…" or "flag --…"."""
    warnings: tuple[str, ...] = ()
    """What was found without effect, though it looks as if it were meant to have one."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that a source gave."""

    value: object
    origin: str


def load(
    path: Path | None = None,
    *,
    flags: Mapping[str, object] = _NONE_GIVEN,
    environ: Mapping[str, str] = _NONE_GIVEN,
) -> Loaded:
    """Reads and checks all settings.

    Args:
        path: a TOML file; None: no file.
        flags: dotted name ("listen.port") -> value; None says that a flag was not given.
        environ: usually `os.environ`, of which names like `DSCORE_LISTEN__PORT` count.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value is wrong.
    """
    problems: list[str] = []
    given: dict[str, _Given] = {}
    # From the weakest to the strongest: what comes later wins.
    if path is not None:
        given.update(_from_file(path, problems))
    given.update(_from_environment(environ, problems))
    given.update(_from_flags(flags, problems))
    config = _checked(given, problems)
    origin = dict.fromkeys(KEYS, DEFAULT) | {key: one.origin for key, one in given.items()}
    return Loaded(config, MappingProxyType(origin), tuple(_warnings(environ)))


def _from_file(path: Path, problems: list[str]) -> dict[str, _Given]:
    text, document = _read(path)
    given: dict[str, _Given] = {}
    for section, values in document.items():
        if section not in SECTIONS:
            place = _place(path, text, None, section)
            problems.append(f"{place}: unknown {unknown_section(SECTIONS, section)}")
            continue
        if not isinstance(values, dict):
            problems.append(f"{path}: {section} must be a table: write [{section}]")
            continue
        for name, value in _in_our_names(section, values, str(path), problems).items():
            if name in SECTIONS[section]:
                given[f"{section}.{name}"] = _Given(value, f"file {path}")
            else:
                place = _place(path, text, section, name)
                problems.append(f"{place}: unknown {unknown_key(SECTIONS, section, name)}")
    return given


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, _Given]:
    found: dict[str, dict[str, object]] = {}
    variables: dict[tuple[str, str], str] = {}
    for variable in sorted(environ):
        # Only names with two underscores are ours: DSCORE_URL is the command line's, and
        # Kubernetes makes DSCORE_PORT and the like up for a service of that name.
        section, parted, key = variable.removeprefix(_PREFIX).partition("__")
        if not variable.startswith(_PREFIX) or not parted:
            continue
        section = section.lower()
        if section not in SECTIONS:
            problems.append(f"environment {variable}: unknown {unknown_section(SECTIONS, section)}")
            continue
        name = key if key in legacy_names.NAMES.get(section, {}) else key.lower()
        found.setdefault(section, {})[name] = environ[variable]
        variables[section, legacy_names.our_name(section, name)] = variable
    given: dict[str, _Given] = {}
    for section, values in found.items():
        for name, value in _in_our_names(section, values, "environment", problems).items():
            variable = variables[section, name]
            if name in SECTIONS[section]:
                given[f"{section}.{name}"] = _Given(value, f"environment {variable}")
            else:
                meant = _variable(nearest(SECTIONS, section, name))
                problems.append(f"environment {variable}: unknown, did you mean {meant}?")
    return given


def _from_flags(flags: Mapping[str, object], problems: list[str]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for key, value in flags.items():
        if value is None:
            continue
        flag = _FLAGS.get(key, f"--{key}")
        if key not in KEYS:
            problems.append(f"flag {flag}: there is no setting {key}")
            continue
        given[key] = _Given(value, f"flag {flag}")
    return given


def _in_our_names(
    section: str, values: Mapping[str, object], source: str, problems: list[str]
) -> dict[str, object]:
    try:
        return legacy_names.translate(section, values)
    except ValueError as error:
        problems.append(f"{source}: {error}")
        return {}


def _checked(given: Mapping[str, _Given], problems: list[str]) -> Config:
    """The settings, if nothing is wrong with them: else all that is, names and values together.

    Raises:
        ConfigError: something is.
    """
    nested: dict[str, dict[str, object]] = {}
    for key, one in given.items():
        section, _, name = key.partition(".")
        nested.setdefault(section, {})[name] = one.value
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        problems += (_sentence(found, given) for found in error.errors())
    if problems:
        raise ConfigError(*problems)
    return config


def _sentence(found: Any, given: Mapping[str, _Given]) -> str:
    """An error of pydantic in one line: setting, value, where it stands, what would be right."""
    key = ".".join(map(str, found["loc"]))
    wrong = str(found.get("ctx", {}).get("error", found["msg"]))
    if key not in given:  # About a whole section: the sentence names its settings itself.
        places = dict.fromkeys(one.origin for name, one in given.items() if name in wrong)
        return f"{wrong} ({', '.join(places)})"
    text = "***" if key in SECRETS else repr(given[key].value)
    if len(text) > _LONGEST_SHOWN:
        text = f"{text[: _LONGEST_SHOWN - 1]}…"
    return f"{key} = {text} ({given[key].origin}): {wrong}"


def _place(path: Path, text: str, section: str | None, name: str) -> str:
    """The path and, where it can be found, the line of a key (or with no section: of a table)."""
    word = re.escape(name.rpartition(".")[2])
    key = re.compile(rf"""\s*(\w+\.)*["']?{word}["']?\s*[.=]""")
    table = re.compile(rf"""\s*\[\s*["']?{word}["']?\s*[.\]]""")
    current = None
    for number, row in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([\w-]+)", row)
        current = header.group(1) if header else current
        if (current == section and key.match(row)) or (section is None and table.match(row)):
            return f"{path}, line {number}"
    return str(path)


def _warnings(environ: Mapping[str, str]) -> list[str]:
    misspelt = {_variable(key).replace("__", "_"): _variable(key) for key in KEYS}
    return [
        f"environment {variable} has no effect: did you mean {misspelt[variable]}?"
        for variable in sorted(environ)
        if variable in misspelt
    ]


def _variable(key: str) -> str:
    """The environment variable of a setting; a legacy name keeps its capitals there."""
    section, _, name = key.partition(".")
    name = name.upper() if name in SECTIONS[section] else name
    return f"{_PREFIX}{section.upper()}__{name}"
