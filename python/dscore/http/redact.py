"""Secrets that agents send in their configs, as they are shown: not at all.

A config is what a program was started with, so it holds the passwords of cameras and the keys of
clouds. The values of keys that sound like one are shown as •••, whatever they are; of URLs, in any
text, the userinfo and the values of such parameters. Better too much than one too few.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

SHOWN: Final = "•••"
MAX_KEY: Final = 256
"""Characters of a key; the value of a longer one is not shown."""
MAX_DEPTH: Final = 64
"""Of a config that is shown; what lies deeper is not."""

_SECRET_PARTS: Final = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authorization",
    "cookie",
    "bearer",
)
_SECRET_ENDS: Final = frozenset(("pass", "pw", "psk", "pin"))
"""The last word of a key: `rtsp_pass`, and not `compass`."""
_SECRET_WORDS: Final = frozenset(("auth", "key", "sas", "jwt"))
"""All of a key."""
_NAMES: Final = frozenset(("name", "key"))
# Each takes time in proportion to the text, which comes from the network: none starts anew inside
# of what it has looked at.
_URL_REST = re.compile(r"[^\s\"'<>]*")
_PARAMETER = re.compile(r"(?<![\w.\-\[\]%])([\w.\-\[\]%]+)=([^&;#\s\"']+)")
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest)\s+[^\s\"',]+", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_AUTHORITY_END = re.compile(r"[/?#]")
_PORT = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::[0-9]*)?")


class Redactor:
    """What is secret, by the settings."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """
        Args:
            more: parts of keys that are secret besides (`log.redact`).
        """
        parts = (*_SECRET_PARTS, *filter(None, map(_plain, more)))
        self.is_secret = lru_cache(maxsize=4096)(lambda key: _is_secret(key, parts))
        """Whether the value of a key of this name is not shown."""
        # Labels are short, and a fleet has few values of them.
        self._label = lru_cache(maxsize=4096)(self._text)

    def config(self, config: Mapping[str, Any] | None) -> Any:
        """A config as it is shown."""
        return None if config is None else self._shown(config, MAX_DEPTH)

    def labels(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Labels as they are shown."""
        return {
            name: SHOWN if self.is_secret(name) else self._label(text)
            for name, text in labels.items()
        }

    def _shown(self, value: Any, depth: int) -> Any:
        if depth == 0:
            return SHOWN
        if isinstance(value, Mapping):
            return self._object(value, depth)
        if isinstance(value, list):
            return [self._shown(each, depth - 1) for each in value]
        return self._text(value) if isinstance(value, str) else value

    def _object(self, value: Mapping[str, Any], depth: int) -> dict[str, Any]:
        # {"name": "PASSWORD", "value": "…"}: what names the value stands beside it.
        names = (value.get(each) for each in _NAMES)
        is_pair = any(isinstance(name, str) and self.is_secret(name) for name in names)
        return {
            key: SHOWN
            if (is_pair and key == "value") or self._hides(key, each, is_pair=is_pair)
            else self._shown(each, depth - 1)
            for key, each in value.items()
        }

    def _hides(self, key: str, value: Any, *, is_pair: bool) -> bool:
        if is_pair and key in _NAMES:
            return False
        return value is not None and self.is_secret(key)

    def _text(self, text: str) -> str:
        if "://" in text:
            first, *rest = text.split("://")
            text = "://".join((first, *map(_without_userinfo, rest)))
        if "=" in text:
            text = _PARAMETER.sub(self._parameter, text)
        return _SCHEME.sub(rf"\1 {SHOWN}", text)

    def _parameter(self, found: "re.Match[str]") -> str:
        return f"{found[1]}={SHOWN}" if self.is_secret(found[1]) else found[0]


def _plain(key: str) -> str:
    return _NOT_WORD.sub("", key.lower())


def _is_secret(key: str, parts: tuple[str, ...]) -> bool:
    if len(key) > MAX_KEY:
        return True
    words, plain = [word.lower() for word in _WORD.findall(key)], _plain(key)
    if plain in _SECRET_WORDS or (words and words[-1] in _SECRET_ENDS):
        return True
    return any(part in plain for part in parts)


def _without_userinfo(behind: str) -> str:
    """What stands behind a :// without the userinfo that it may begin with (RFC 3986 §3.2.1)."""
    end = _URL_REST.match(behind).end()  # type: ignore[union-attr]  # it may match nothing
    url, rest = behind[:end], behind[end:]
    authority = _AUTHORITY_END.split(url, maxsplit=1)[0]
    if "@" in authority:
        url = f"{SHOWN}@{url[url.rindex('@', 0, len(authority)) + 1 :]}"
    elif "@" in url and not _PORT.fullmatch(authority):
        # A password with a / in it, as people write them: what is behind the colon is no port.
        url = f"{SHOWN}@{url[url.rindex('@') + 1 :]}"
    return url + rest
