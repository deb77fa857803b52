from dscore._core import CoreConfig
from dscore.config import Config
from dscore.core_settings import compare, core_settings


def test_the_core_takes_the_defaults() -> None:
    config = CoreConfig(**core_settings(Config()))
    assert config.reactors >= 1


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
    settings = core_settings(config)
    assert settings["reactors"] == 3
    assert (settings["offline_timeout"], settings["next_heartbeat_in"]) == (120_000, 500)
    assert (settings["accept_rate"], settings["max_connections"]) == (100.0, 50)
    assert settings["heartbeat_message"] == "하트비트 수신 완료"
    assert settings["introduce_by_heartbeat"] is False


def test_what_did_not_change_is_not_named() -> None:
    assert compare(Config(), Config()) == ([], [])


def test_the_address_and_the_store_need_a_restart() -> None:
    new = Config.model_validate({"listen": {"host": "::1"}, "store": {"path": ":memory:"}})
    assert compare(Config(), new).needs_restart == ["listen.host", "store.path"]
