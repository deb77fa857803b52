"""Which setting an unknown name was meant to be. What settings there are is an argument."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from dscore.config import legacy_names

Sections: TypeAlias = Mapping[str, tuple[str, ...]]
"""Section -> its keys."""
UNKNOWN: Final = "extra_forbidden"
"""What pydantic calls a name that a model does not have."""


def unknown_section(sections: Sections, name: str) -> str:
    """Words for a top-level name that is no section: what it is, and what was probably meant."""
    if meant := _same_key(sections, name):
        return f"key {name}: did you mean {meant}?"
    near = difflib.get_close_matches(name.lower(), sections, n=1)
    if near:
        return f"section [{name}]: did you mean [{near[0]}]?"
    near = difflib.get_close_matches(
        name.lower(), [key for keys in sections.values() for key in keys]
    )
    if near:
        return f"key {name}: did you mean {_same_key(sections, near[0])}?"
    return f"section [{name}]: there are {', '.join(sections)}"


def unknown_key(sections: Sections, section: str, name: str) -> str:
    """Words for a name that its section does not have, and what was probably meant."""
    if section + name in sections:  # [socket.io]
        return f"key {section}.{name}: did you mean [{section}{name}]?"
    return f"key {section}.{name}: did you mean {nearest(sections, section, name)}?"


def nearest(sections: Sections, section: str, name: str) -> str:
    """The dotted name of the setting that an unknown one of this section comes nearest to."""
    if meant := _same_key(sections, name):
        return meant
    ours = {key: key for key in sections[section]}
    theirs = {key.lower(): key for key in legacy_names.NAMES.get(section, {})}
    near = difflib.get_close_matches(name.lower(), {**theirs, **ours}, n=1)
    if near:
        return f"{section}.{ours.get(near[0]) or theirs[near[0]]}"
    # Nothing is near in its section: the least strange of all.
    return difflib.get_close_matches(f"{section}.{name.lower()}", dotted(sections), n=1, cutoff=0)[
        0
    ]


def dotted(sections: Sections) -> tuple[str, ...]:
    """Every setting by its dotted name."""
    return tuple(f"{section}.{key}" for section, keys in sections.items() for key in keys)


def _same_key(sections: Sections, name: str) -> str | None:
    """A setting of that very name in any section."""
    return next((key for key in dotted(sections) if key.partition(".")[2] == name.lower()), None)


def sections_of(config: type[BaseModel]) -> Sections:
    """Of the model of all settings, in its order."""
    fields = config.model_fields.items()
    return {name: tuple(type(field.default).model_fields) for name, field in fields}


def with_hints(
    error: ValidationError, model: type[BaseModel], config: type[BaseModel]
) -> ValidationError:
    """The same errors; those of names of this model that there are not say what was meant.

    Args:
        error: what a model has against its values.
        model: a section, or that of all settings.
        config: the model of all settings.
    """
    details = [_detail(found, model, config) for found in error.errors()]
    return ValidationError.from_exception_data(error.title, details)


def _detail(
    found: ErrorDetails, model: type[BaseModel], config: type[BaseModel]
) -> InitErrorDetails:
    kind: str | PydanticCustomError = found["type"]
    if found["type"] == UNKNOWN:
        # Those of a model within have their words already.
        is_ours = len(found["loc"]) == 1
        text = _words(str(found["loc"][0]), model, config) if is_ours else found["msg"]
        kind = PydanticCustomError(UNKNOWN, "{text}", {"text": text})
    detail = InitErrorDetails(type=kind, loc=found["loc"], input=found["input"])
    if "ctx" in found and isinstance(kind, str):
        detail["ctx"] = found["ctx"]
    return detail


def _words(name: str, model: type[BaseModel], config: type[BaseModel]) -> str:
    sections = sections_of(config)
    for section, field in config.model_fields.items():
        if issubclass(model, type(field.default)):
            return f"unknown {unknown_key(sections, section, name)}"
    return f"unknown {unknown_section(sections, name)}"
