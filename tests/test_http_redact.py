"""Secrets in configs: what is shown of them, and of what only looks like one."""

from typing import Any

import pytest

from dscore.http.redact import MAX_DEPTH, SHOWN, Redactor


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "dbPassword",
        "db_password",
        "passwd",
        "rtsp-pass",
        "pwd",
        "secret",
        "clientSecret",
        "token",
        "access_token",
        "TOKEN_FILE",
        "api-key",
        "apiKey",
        "privateKey",
        "credentials",
        "Authorization",
        "auth",
        "key",
        "Set-Cookie",
        "wifi.psk",
    ],
)
@pytest.mark.parametrize("value", ["x", 7, True, ["x"], {"a": "x"}])
def test_values_of_such_keys_are_not_shown(key: str, value: Any) -> None:
    assert Redactor().config({"camera": [{key: value}]}) == {"camera": [{key: SHOWN}]}


@pytest.mark.parametrize(
    "config",
    [
        {"fps": 25, "name": "gate", "labels": {"site": "busan", "line": "3"}},
        {
            "keyframe_interval": 30,
            "monkey": "x",
            "compass": 90.5,
            "author": "kim",
            "password": None,
        },
        {"uri": "rtsp://10.0.0.9:554/stream?profile=1#a", "mail": "ops@fleet.example"},
        {"uri": "rtsp://10.0.0.9/users/a@b", "v6": "rtsp://[fe80::1]:554/a@b"},
        {"pipeline": "videotestsrc pattern=ball ! fakesink"},
    ],
)
def test_all_else_is_shown_as_it_was_sent(config: dict[str, Any]) -> None:
    assert Redactor().config(config) == config


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:pa55@10.0.0.9/1", "rtsp://•••@10.0.0.9/1"),
        ("rtsp://admin@10.0.0.9/1", "rtsp://•••@10.0.0.9/1"),
        ("rtsp://a:p@ss@10.0.0.9/1", "rtsp://•••@10.0.0.9/1"),
        ("rtsp://a:p/ss#?@10.0.0.9/1", "rtsp://•••@10.0.0.9/1"),
        ("RTSP://a:b@[::1]:554/", "RTSP://•••@[::1]:554/"),
        ("https://h/hook?id=7&token=abc&x=1", "https://h/hook?id=7&token=•••&x=1"),
        (
            "rtspsrc location=rtsp://u:p@h/1 ! fakesink",
            "rtspsrc location=rtsp://•••@h/1 ! fakesink",
        ),
        ("rtspsrc user-pw=geheim ! fakesink", "rtspsrc user-pw=••• ! fakesink"),
        ("Server=db;User=sa;Password=geheim;", "Server=db;User=sa;Password=•••;"),
        ("amqp://u:p@one,amqp://u:p@two", "amqp://•••@one,amqp://•••@two"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer •••"),
    ],
)
def test_secrets_inside_of_texts_are_not_shown(text: str, shown: str) -> None:
    assert Redactor().config({"a": [text]}) == {"a": [shown]}


def test_a_name_beside_its_value_counts_as_a_key() -> None:
    config = {"env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "FPS", "value": "25"}]}
    assert Redactor().config(config) == {
        "env": [{"name": "DB_PASSWORD", "value": SHOWN}, {"name": "FPS", "value": "25"}]
    }


def test_settings_add_keys() -> None:
    redactor = Redactor(["site_code", ""])
    config = {"siteCode": "17", "SITE-CODE-2": "18", "site": "busan"}
    assert redactor.config(config) == {"siteCode": SHOWN, "SITE-CODE-2": SHOWN, "site": "busan"}


def test_what_lies_too_deep_is_not_shown() -> None:
    config: Any = {"password": "x"}
    for _ in range(2 * MAX_DEPTH):
        config = {"a": config}
    text = str(Redactor().config(config))
    assert "'x'" not in text
    assert SHOWN in text


def test_no_config_is_none() -> None:
    assert Redactor().config(None) is None


@pytest.mark.parametrize("piece", ["a", "a://", "a=", "@", ":", " Bearer", "x%5B"])
def test_takes_no_longer_for_what_was_made_to_take_long(piece: str) -> None:
    text = piece * (500_000 // len(piece))
    Redactor().config({"a": text, text: "b"})
