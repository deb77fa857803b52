"""The Socket.IO contract's names for settings, and its milliseconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dscore.config import Config, load
from dscore.errors import ConfigError

Write = Callable[[str], Path]


LEGACY = """
[monitoring]
healthCheckInterval = 15000
offlineTimeout = 120000
connectionCheckInterval = 15000
processCheckInterval = 10000
maxMissedHeartbeats = 4
heartbeatGracePeriod = 60500
reconnectionGracePeriod = "3m"
[socket]
cors = { origin = "*", methods = ["GET"] }
pingInterval = 25000
pingTimeout = 60000
transports = ["websocket"]
allowEIO3 = false
maxHttpBufferSize = 1e6
connectTimeout = 1
"""


def test_camel_case_of_the_socketio_contract_is_accepted_with_its_milliseconds(
    write_toml: Write,
) -> None:
    path = write_toml(LEGACY.replace("connectTimeout = 1\n", "connectTimeout = 1500\n"))
    loaded = load(path)
    monitoring, socket = loaded.config.monitoring, loaded.config.socket
    assert monitoring.model_dump() == {
        "health_check_interval": 15.0,
        "offline_timeout": 120.0,
        "connection_check_interval": 15.0,
        "process_check_interval": 10.0,
        "max_missed_heartbeats": 4,
        "heartbeat_grace_period": 60.5,
        "reconnection_grace_period": 180.0,
        "broadcast_to_agents": False,
    }
    assert socket.model_dump() == {
        "ping_interval": 25.0,
        "ping_timeout": 60.0,
        "connect_timeout": 1.5,
        "max_message_size": 1_000_000,
        "transports": ("websocket",),
        "allow_eio3": False,
        "cors_origins": ("*",),
        "cors_methods": ("GET",),
        "subprotocols": (),
    }
    assert loaded.origin["socket.cors_methods"] == f"file {path}"


def test_camel_case_is_checked_like_our_own_names(write_toml: Write) -> None:
    with pytest.raises(ConfigError, match=r"socket\.connect_timeout = 0\.001 .* between 10ms"):
        load(write_toml(LEGACY))


def test_camel_case_is_accepted_in_python_and_in_the_environment() -> None:
    assert Config.model_validate({"socket": {"pingTimeout": 1000}}).socket.ping_timeout == 1.0
    loaded = load(environ={"DSCORE_SOCKET__pingTimeout": "1000", "DSCORE_SOCKET__cors": "http://a"})
    assert loaded.config.socket.ping_timeout == 1.0
    assert loaded.config.socket.cors_origins == ("http://a",)
    assert loaded.origin["socket.ping_timeout"] == "environment DSCORE_SOCKET__pingTimeout"


def test_setting_under_both_of_its_names_is_refused(write_toml: Write) -> None:
    path = write_toml("[socket]\nping_timeout = 1\npingTimeout = 1000\n")
    with pytest.raises(ConfigError, match=r"twice, as ping_timeout and as pingTimeout"):
        load(path)


def test_environment_in_our_names_wins_over_a_file_in_legacy_names(write_toml: Write) -> None:
    path = write_toml("[socket]\npingTimeout = 1000\n")
    loaded = load(path, environ={"DSCORE_SOCKET__PING_TIMEOUT": "2s"})
    assert loaded.config.socket.ping_timeout == 2.0
