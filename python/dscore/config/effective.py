"""The settings as people and other programs see them, and what a reload may change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from dscore.config.durations import format_duration
from dscore.config.loading import Loaded
from dscore.config.models import SECRETS, Config
from dscore.config.names import KEYS

Plain: TypeAlias = str | int | float | bool | list[str] | None
"""What JSON can say of a setting."""

_AT_START_ONLY = frozenset(
    {
        "health.status_code_when_draining",
        "log.format",
        "log.redact",
        "socket.allow_eio3",
        "socket.cors_origins",
        "socket.transports",
        "store.path",
        "tls.handshakes",
        "tls.port",
        "tls.required",
        "tls.same_port",
    }
)
_RATE = "limits.accept_rate"  # the one float that is no duration

_LIVE_OF_LISTEN = "listen.trusted_proxies"

RELOADABLE = frozenset(
    key
    for key in KEYS
    if key == _LIVE_OF_LISTEN or not (key.startswith("listen.") or key in _AT_START_ONLY)
)
"""Settings that a running server takes over; the others need a restart."""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as `config check` prints it."""

    key: str
    value: Plain
    """Secrets are masked, durations have their unit."""
    origin: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two configurations, by dotted names."""

    live: tuple[str, ...]
    """Can be taken over by a running server."""
    needs_restart: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.live or self.needs_restart)


def rows(loaded: Loaded) -> Iterator[Row]:
    """Every setting with its effective value and where that came from."""
    for key in KEYS:
        yield Row(key, plain(key, value_of(loaded.config, key)), loaded.origin[key])


def value_of(config: Config, key: str) -> object:
    """The value of a setting by its dotted name."""
    section, _, name = key.partition(".")
    value: object = getattr(getattr(config, section), name)
    return value


def plain(key: str, value: object) -> Plain:
    """The value of a setting as JSON may show it: secrets masked, durations with their unit."""
    if key in SECRETS:
        return ["***"] * len(value) if isinstance(value, tuple) else "***"
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and key != _RATE:
        return format_duration(value)
    return cast(Plain, value)


def compare(old: Config, new: Config) -> Changes:
    """What a reload from `old` to `new` would change."""
    changed = [key for key in KEYS if value_of(old, key) != value_of(new, key)]
    return Changes(
        live=tuple(key for key in changed if key in RELOADABLE),
        needs_restart=tuple(key for key in changed if key not in RELOADABLE),
    )


def merge_live(old: Config, new: Config) -> Config:
    """`old` with every setting of `new` that a running server can take over."""
    merged = old
    for key in compare(old, new).live:
        name, _, setting = key.partition(".")
        section = getattr(merged, name).model_copy(update={setting: value_of(new, key)})
        merged = merged.model_copy(update={name: section})
    return merged
