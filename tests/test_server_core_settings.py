from typing import Any

import pytest

from dscore._core import CoreConfig
from dscore.config import Config
from dscore.policy import Candidate, Policy
from dscore.server.core_settings import core_settings


class Judge(Policy):
    """Looks at each introduction."""

    def authenticate(self, candidate: Candidate) -> bool:
        return True


def in_namespaces(namespaces: Any) -> Policy:
    policy = Policy()
    policy.namespaces = namespaces
    return policy


@pytest.mark.parametrize(
    ("config", "policy", "are_judged"),
    [
        ({}, Policy(), False),
        ({}, Judge(), True),
        ({"auth": {"required": True, "token_file": "tokens"}}, Policy(), True),
    ],
)
def test_the_core_reads_introductions_where_none_is_judged(
    config: dict[str, Any], policy: Policy, are_judged: bool
) -> None:
    settings = core_settings(Config.model_validate(config), policy)
    assert settings["introductions_are_judged"] is are_judged


def test_the_core_takes_the_defaults() -> None:
    config = CoreConfig(**core_settings(Config(), Policy()))
    assert config.reactors >= 1


@pytest.mark.parametrize(
    ("section", "name", "least", "most"),
    [
        ("listen", "backlog", 1, 65_535),
        ("listen", "reactors", 1, 255),
        ("socket", "max_message_size", 128, 1 << 30),
        ("socket", "ping_interval", "10ms", "1d"),
        ("socket", "ping_timeout", "10ms", "1d"),
        ("socket", "connect_timeout", "10ms", "1d"),
        ("socket", "transports", ["polling"], ["websocket", "polling"]),
        ("socket", "cors_methods", [], ["GET", "POST", "PUT"]),
        ("listen", "names", [], ["fleet.example", "10.0.0.1", "fd00::1", "[fd00::2]", "a_b"]),
        ("listen", "trusted_proxies", [], ["10.0.0.0/8", "::1", "0.0.0.0/0", "2001:db8::/127"]),
        ("socket", "cors_origins", [], ["self", "*", "null", "file://", "https://[::1]:8443"]),
        ("socket", "subprotocols", [], ["a", "!#$%&'*+-.^_`|~0Z"]),
        ("limits", "connections", 1, 10_000_000),
        ("limits", "accept_rate", 0.1, 10_000_000),
        ("limits", "connections_per_address", 1, 10_000_000),
        ("limits", "introductions_per_address", 1, 1_000_000),
        ("limits", "handshake_timeout", "10ms", "1d"),
        ("limits", "max_errors", 1, 255),
        ("limits", "header_size", 256, 1 << 20),
        ("limits", "body_size", 0, 1 << 30),
        ("limits", "upload_size", 0, 1 << 40),
        ("limits", "outbox_bytes", 1024, 1 << 30),
        ("limits", "output_bytes", 1 << 20, 1 << 40),
        ("limits", "input_bytes", 1 << 20, 1 << 40),
        ("limits", "fragments", 1, 1 << 20),
        ("auth", "timeout", "10ms", "1d"),
        ("shutdown", "close_timeout", "0s", "1d"),
        ("monitoring", "offline_timeout", "31s", "1d"),
        ("monitoring", "connection_check_interval", "10ms", "299s"),
        ("monitoring", "health_check_interval", "10ms", "299s"),
    ],
)
def test_the_core_takes_whatever_the_configuration_does(
    section: str, name: str, least: object, most: object
) -> None:
    for value in (least, most):
        CoreConfig(**core_settings(Config.model_validate({section: {name: value}}), Policy()))


def test_a_namespace_without_its_tuple_is_named_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r'write \("/telemetry",\)$'):
        core_settings(Config(), in_namespaces("/telemetry"))


def test_settings_go_to_the_core_in_milliseconds() -> None:
    config = Config.model_validate(
        {
            "listen": {"reactors": 3},
            "monitoring": {"offline_timeout": "2m", "health_check_interval": 0.5},
            "limits": {"accept_rate": 100, "connections": 50},
            "log": {"language": "ko"},
            "auth": {"required": True},
        }
    )
    settings = core_settings(config, Policy())
    assert settings["reactors"] == 3
    assert (settings["offline_timeout"], settings["next_heartbeat_in"]) == (120_000, 500)
    assert (settings["accept_rate"], settings["max_connections"]) == (100.0, 50)
    assert settings["heartbeat_message"] == "하트비트 수신 완료"
    assert settings["introduce_by_heartbeat"] is False


def test_the_socketio_contract_s_socket_section_goes_to_the_core() -> None:
    socket = {
        "cors": {"origin": "*", "methods": ["GET", "POST"]},
        "pingInterval": 25_000,
        "pingTimeout": 60_000,
        "transports": ["websocket", "polling"],
        "allowEIO3": True,
        "maxHttpBufferSize": 1e6,
        "connectTimeout": 45_000,
    }
    settings = core_settings(Config.model_validate({"socket": socket}), in_namespaces(["/x"]))
    assert settings["endpoints"]["/socket.io/"] == "socketio"
    assert {name: settings[name] for name in ("origins", "cors_methods", "transports")} == {
        "origins": ("*",),
        "cors_methods": ("GET", "POST"),
        "transports": ("websocket", "polling"),
    }
    assert (settings["ping_interval"], settings["ping_timeout"]) == (25_000, 60_000)
    assert (settings["connect_timeout"], settings["max_message_size"]) == (45_000, 1_000_000)
    assert (settings["allow_eio3"], settings["namespaces"]) == (True, ("/x",))
