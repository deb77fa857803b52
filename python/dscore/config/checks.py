"""What a single value of the configuration may be.

Each function makes the one validator of a field: it takes a value of a TOML file, of the
environment (always text) or of a Python caller, and returns it in its final type or raises a
`ValueError` whose sentence says what would be right. The name of the field, the value and where
it stands are added where the error is shown.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import PlainValidator

from dscore.config.durations import format_duration, parse_duration

_V = TypeVar("_V")

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NOTHING = frozenset({"", "none"})
_ADDRESS = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://)?(?:[^/?#@]*@)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(?:[/?#]|$)"
)
"""Scheme, host and port of a page."""
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_PAGE = re.compile(r"/(?:[A-Za-z0-9._~-]+/)*(?:[A-Za-z0-9._~-]+)?")
_TAKEN = (
    *("/api/v1/", "/deepstream/", "/socket.io/"),
    *("/metrics/", "/livez/", "/readyz/", "/startupz/", "/openapi.json/"),
)
"""Where dscore has something else."""
_SENT_AS_THEY_ARE = frozenset({"null", "file://"})
"""What pages without an address send; "file://" those of Electron and Cordova."""


def duration(low: str, high: str) -> PlainValidator:
    """A duration in seconds within the bounds, both included."""
    return PlainValidator(_duration(low, high))


def duration_or_none(low: str, high: str) -> PlainValidator:
    return PlainValidator(_or_none(_duration(low, high)))


def whole(low: int, high: int) -> PlainValidator:
    """A whole number within the bounds, both included."""
    return PlainValidator(_whole(low, high))


def whole_or_none(low: int, high: int) -> PlainValidator:
    return PlainValidator(_or_none(_whole(low, high)))


def whole_or_auto(low: int, high: int) -> PlainValidator:
    check = _whole(low, high)

    def validate(value: object) -> Any:
        if isinstance(value, str) and value.strip().lower() == "auto":
            return "auto"
        try:
            return check(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "auto"') from None

    return PlainValidator(validate)


def rate_or_none(low: float, high: float) -> PlainValidator:
    """A number for each second, or None for no limit."""

    def validate(value: object) -> float:
        number: float | None = None
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                number = None
        # Written so that NaN fails.
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a number between {low:g} and {high:g} (a second)")
        return number

    return PlainValidator(_or_none(validate))


def flag() -> PlainValidator:
    """A truth value; as text true, yes, on, 1 or false, no, off, 0."""

    def validate(value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            word = value.strip().lower()
            if word in _TRUE or word in _FALSE:
                return word in _TRUE
        raise ValueError("must be true or false")

    return PlainValidator(validate)


def choice(*allowed: str) -> PlainValidator:
    """One of a few words, in any case."""

    def validate(value: object) -> str:
        if isinstance(value, str) and value.strip().lower() in allowed:
            return value.strip().lower()
        raise ValueError(f"must be one of {', '.join(allowed)}")

    return PlainValidator(validate)


def line() -> PlainValidator:
    """A text that is not empty and has no control characters."""
    return PlainValidator(_line)


def line_or_none() -> PlainValidator:
    return PlainValidator(_or_none(_line))


def _line(value: object) -> str:
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value.strip()
    raise ValueError("must be a text in one line that is not empty")


def page_path() -> PlainValidator:
    """Where a page is served: a path of plain characters that is not taken."""

    def validate(value: object) -> str:
        is_path = isinstance(value, str) and _PAGE.fullmatch(value) is not None
        # Browsers take "." and ".." for steps.
        if not isinstance(value, str) or not is_path or {".", ".."} & set(value.split("/")):
            raise ValueError("must be a path of letters, digits and . _ ~ -, such as /fleet/")
        if f"{value}/".startswith(_TAKEN):
            raise ValueError("is taken by something else of dscore: take another, such as /fleet/")
        return value

    return PlainValidator(validate)


def path_or_none() -> PlainValidator:
    def validate(value: object) -> Path:
        if isinstance(value, Path) or (isinstance(value, str) and "\0" not in value):
            return Path(value)
        raise ValueError("must be a path")

    return PlainValidator(_or_none(validate))


def words(*allowed: str, at_least: int = 0) -> PlainValidator:
    """A list of texts without repetition; as one text: parted by commas, or a JSON list.

    Args:
        allowed: what each may be; none given: anything that is not empty.
        at_least: how many there must be.
    """

    def validate(value: object) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(_listed(value)))
        wrong = [word for word in found if allowed and word not in allowed]
        if wrong:
            raise ValueError(f"{wrong[0]!r} must be one of {', '.join(allowed)}")
        if len(found) < at_least:
            one_of = f": {', '.join(allowed)}" if allowed else ""
            raise ValueError(f"must name at least {at_least}{one_of}")
        return found

    return PlainValidator(validate)


def tokens() -> PlainValidator:
    """A list of names as HTTP fields carry them (RFC 9110 §5.6.2); a list as in `words`."""

    def validate(value: object) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(_listed(value)))
        for entry in found:
            if not _TOKEN.fullmatch(entry):
                raise ValueError(f"{entry!r} must be letters, digits and !#$%&'*+-.^_`|~ only")
        return found

    return PlainValidator(validate)


def host_names() -> PlainValidator:
    """Host names and addresses, without scheme and port; a list as in `words`."""

    def validate(value: object) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(_listed(value)))
        for entry in found:
            if not _is_host(entry):
                raise ValueError(
                    f"{entry!r} must be a host name or an address without scheme and port, such as "
                    "'fleet.example'"
                )
        return found

    return PlainValidator(validate)


def networks() -> PlainValidator:
    """Addresses, and ranges of them by CIDR; a list as in `words`."""

    def validate(value: object) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_network(entry) for entry in _listed(value)))

    return PlainValidator(validate)


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        return _unmapped(network)
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} must be an address or a range of addresses, such as '10.0.0.0/8'"
        ) from None
    raise ValueError(f"{text!r} must be a range from its first address on: write {str(meant)!r}")


def _unmapped(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """A range as it stands. In IPv6's form of IPv4 (RFC 4291 §2.5.5.2) it would hold none: such
    addresses are looked up as IPv4."""
    if network.version == 6 and (mapped := network.network_address.ipv4_mapped):
        meant = f"{mapped}/{max(0, network.prefixlen - 96)}"
        raise ValueError(f"{str(network)!r} must be in IPv4's own form: write {meant!r}")
    return str(network)


def _is_host(text: str) -> bool:
    if _HOST.fullmatch(text):
        return True
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        return ipaddress.ip_address(text).version == 6 and "%" not in text
    except ValueError:
        return False


def origins() -> PlainValidator:
    """Values of `Origin` as browsers send them, "self" or "*"; a list as in `words`.

    One that no browser sends would let no page in, and not say so.
    """

    def validate(value: object) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(_listed(value)))
        for entry in found:
            sent = _origin_of(entry)
            if entry not in ("*", "self", sent) and entry not in _SENT_AS_THEY_ARE:
                example = sent or "https://page.example:8443"
                raise ValueError(
                    f"{entry!r} must be an origin as browsers send it, such as {example!r}"
                )
        return found

    return PlainValidator(validate)


def _origin_of(address: str) -> str | None:
    """What a browser calls the origin of a page (RFC 6454 §6.2), or None if that is unclear."""
    found = _ADDRESS.match(address.lower())
    if found is None:
        return None
    scheme, host, port = found[1] or "https", found[2], found[3] or ""
    return f"{scheme}://{host}" + (port if port != _DEFAULT_PORTS.get(scheme) else "")


def _listed(value: object) -> list[str]:
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [word.strip() for word in value.split(",") if word.strip()]
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("begins like a JSON list, but is none") from None
    if isinstance(value, list | tuple) and all(isinstance(w, str) and w.strip() for w in value):
        return [word.strip() for word in value]
    raise ValueError("must be a list of texts that are not empty")


def _duration(low: str, high: str) -> Callable[[object], float]:
    lowest, highest = parse_duration(low), parse_duration(high)

    def validate(value: object) -> float:
        seconds = parse_duration(value)
        if not lowest <= seconds <= highest:
            raise ValueError(
                f"must be between {format_duration(lowest)} and {format_duration(highest)}"
            )
        return seconds

    return validate


def _whole(low: int, high: int) -> Callable[[object], int]:
    def validate(value: object) -> int:
        number: int | None = None
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif isinstance(value, float) and value.is_integer():  # 1e6 of the Socket.IO contract
            number = int(value)
        elif isinstance(value, str) and len(value) <= 32:
            try:
                number = int(value)
            except ValueError:
                number = None
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a whole number between {low} and {high}")
        return number

    return validate


def _or_none(check: Callable[[object], _V]) -> Callable[[object], _V | None]:
    def validate(value: object) -> _V | None:
        if value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING):
            return None
        return check(value)

    return validate
