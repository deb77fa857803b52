"""The Socket.IO contract's names and units (`config/server.js`), accepted in the sections it has.

Its keys are camelCase and its times milliseconds. They are turned into ours before anything else
looks at them, so that precedence, origins and error messages know only one name for each setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_MONITORING = {
    "healthCheckInterval": "health_check_interval",
    "offlineTimeout": "offline_timeout",
    "connectionCheckInterval": "connection_check_interval",
    "processCheckInterval": "process_check_interval",
    "maxMissedHeartbeats": "max_missed_heartbeats",
    "heartbeatGracePeriod": "heartbeat_grace_period",
    "reconnectionGracePeriod": "reconnection_grace_period",
}
_SOCKET = {
    "pingInterval": "ping_interval",
    "pingTimeout": "ping_timeout",
    "connectTimeout": "connect_timeout",
    "maxHttpBufferSize": "max_message_size",
    "allowEIO3": "allow_eio3",
    "cors": "cors",
}
_CORS = {"origin": "cors_origins", "methods": "cors_methods"}
_NOT_TIMES = frozenset({"maxMissedHeartbeats", "maxHttpBufferSize", "allowEIO3"})

NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"monitoring": _MONITORING, "socket": _SOCKET}
)
"""Section -> the Socket.IO contract's name -> ours (`cors` is a table of two of ours)."""


def our_name(section: str, name: str) -> str:
    """Our name of a setting; a name that is not the Socket.IO contract's is taken for ours."""
    return _CORS["origin"] if name == "cors" else NAMES.get(section, {}).get(name, name)


def translate(section: str, values: Mapping[str, object]) -> dict[str, object]:
    """The values of one section under our names and in our units; unknown names pass as they are.

    Raises:
        ValueError: a setting is given under both of its names.
    """
    names = NAMES.get(section, {})
    translated: dict[str, object] = {}
    given_as: dict[str, str] = {}
    for name, value in values.items():
        for ours, meaning in _settings(name, value, names):
            if ours in translated:
                both = f"as {given_as[ours]} and as {name}"
                raise ValueError(f"{section}.{ours} is given twice, {both}: keep one")
            translated[ours], given_as[ours] = meaning, name
    return translated


def _settings(name: str, value: object, names: Mapping[str, str]) -> list[tuple[str, object]]:
    if name not in names:
        return [(name, value)]
    if name == "cors":
        if not isinstance(value, Mapping):
            return [("cors_origins", value)]
        return [(_CORS.get(key, f"cors.{key}"), entry) for key, entry in value.items()]
    return [(names[name], value if name in _NOT_TIMES else _seconds(value))]


def _seconds(value: object) -> object:
    """Milliseconds to seconds; a text with a unit, and what is wrong, pass as they are."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return value / 1000
    except OverflowError:
        return value
