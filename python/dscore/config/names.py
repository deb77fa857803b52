"""Which settings there are, and which one an unknown name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from dscore.config import legacy_names
from dscore.config.models import Config

SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: tuple(type(field.default).model_fields) for name, field in Config.model_fields.items()}
)
"""Section -> its keys, in the order of the models."""

KEYS: tuple[str, ...] = tuple(
    f"{section}.{key}" for section in SECTIONS for key in SECTIONS[section]
)
"""Every setting by its dotted name."""


def unknown_section(name: str) -> str:
    """Words for a top-level name that is no section: what it is, and what was probably meant."""
    if meant := _same_key(name):
        return f"key {name}: did you mean {meant}?"
    near = difflib.get_close_matches(name.lower(), SECTIONS, n=1)
    if near:
        return f"section [{name}]: did you mean [{near[0]}]?"
    near = difflib.get_close_matches(
        name.lower(), [key for keys in SECTIONS.values() for key in keys]
    )
    if near:
        return f"key {name}: did you mean {_same_key(near[0])}?"
    return f"section [{name}]: there are {', '.join(SECTIONS)}"


def unknown_key(section: str, name: str) -> str:
    """Words for a name that its section does not have, and what was probably meant."""
    if section + name in SECTIONS:  # [socket.io]
        return f"key {section}.{name}: did you mean [{section}{name}]?"
    return f"key {section}.{name}: did you mean {nearest(section, name)}?"


def nearest(section: str, name: str) -> str:
    """The dotted name of the setting that an unknown one of this section comes nearest to."""
    if meant := _same_key(name):
        return meant
    ours = {key: key for key in SECTIONS[section]}
    theirs = {key.lower(): key for key in legacy_names.NAMES.get(section, {})}
    near = difflib.get_close_matches(name.lower(), {**theirs, **ours}, n=1)
    if near:
        return f"{section}.{ours.get(near[0]) or theirs[near[0]]}"
    # Nothing is near in its section: the least strange of all.
    return difflib.get_close_matches(f"{section}.{name.lower()}", KEYS, n=1, cutoff=0)[0]


def _same_key(name: str) -> str | None:
    """A setting of that very name in any section."""
    return next((key for key in KEYS if key.partition(".")[2] == name.lower()), None)
