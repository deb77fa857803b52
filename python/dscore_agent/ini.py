"""The lines of the DeepStream contract's configuration file: one section of an INI file, by line.

The standard `configparser` forgets where a value stood, and every error here has to say it.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dscore_agent import files
from dscore_agent.errors import ConfigError

SECTION = "websocket"


@dataclass(frozen=True)
class Entry:
    """One `key=value`."""

    key: str
    value: str
    origin: str
    """File and line, for people."""


def read(path: Path) -> list[Entry]:
    """The entries of the section `[websocket]`; other sections belong to other programs.

    Raises:
        ConfigError: The file cannot be read, has no such section, or a line of it makes no sense.
    """
    try:
        text = files.read(path, files.MAX_CONFIG).decode("utf-8-sig")
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot read {path}: {cause}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read {path}: it is not UTF-8 text") from None
    problems: list[str] = []
    entries = list(_entries(text, path, problems))
    if problems:
        raise ConfigError(*problems)
    return entries


def _entries(text: str, path: Path, problems: list[str]) -> Iterator[Entry]:
    section = ""
    found = False
    near = ""
    seen: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line, origin = raw.strip(), f"{path}:{number}"
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line[1:-1].strip() if line[-1] == "]" else ""
            found = found or section == SECTION
            if difflib.get_close_matches(section.lower(), [SECTION]):
                near = f"{origin}: [{section}]: did you mean [{SECTION}]?"
            if not section:
                problems.append(f"{origin}: a section is written [name]")
        elif section == SECTION:
            key, equals, value = (part.strip() for part in line.partition("="))
            if not (key and equals):
                problems.append(f"{origin}: a setting is written key=value")
            elif key in seen:
                problems.append(f"{origin}: {key} is given twice, first in line {seen[key]}")
            else:
                seen[key] = number
                yield Entry(key, value, origin)
    if not found:
        problems.append(near or f"{path}: there is no section [{SECTION}]")
