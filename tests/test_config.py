"""Settings: what they may be, where they come from, how they are shown and compared."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dscore.config import (
    RELOADABLE,
    Config,
    ListenConfig,
    MonitoringConfig,
    ShutdownConfig,
    compare,
    load,
    merge_live,
    rows,
)
from dscore.config.names import KEYS, SECTIONS
from dscore.errors import ConfigError

EXAMPLE = Path(__file__).parent.parent / "dscore.example.toml"

Write = Callable[[str], Path]

# One value for each setting that is not its default, as a file has it and as it is meant.
OTHERS: dict[str, tuple[object, object]] = {
    "listen.host": ("::1", "::1"),
    "listen.port": (0, 0),
    "listen.backlog": (1, 1),
    "listen.reactors": (3, 3),
    "listen.names": (["fleet.example", "10.0.0.1", "::1"], ("fleet.example", "10.0.0.1", "::1")),
    "listen.trusted_proxies": (["127.0.0.1", "fd00::/8"], ("127.0.0.1/32", "fd00::/8")),
    "listen.proxy_protocol": (True, True),
    "listen.page": ("/fleet/", "/fleet/"),
    "tls.certificates": (["a.pem", "b.pem"], ("a.pem", "b.pem")),
    "tls.keys": (["a.key", "b.key"], ("a.key", "b.key")),
    "tls.port": (8443, 8443),
    "tls.same_port": (False, False),
    "tls.required": (False, False),
    "tls.client_ca": ("clients.pem", Path("clients.pem")),
    "tls.client_auth": ("required", "required"),
    "tls.client_crl": (["revoked.pem"], ("revoked.pem",)),
    "tls.ticket_keys": ("tickets.keys", Path("tickets.keys")),
    "tls.record_layer": ("own", "own"),
    "tls.handshakes": (16, 16),
    "tls.hsts": ("1h", 3600.0),
    "monitoring.health_check_interval": ("15s", 15.0),
    "monitoring.offline_timeout": ("1h30m", 5400.0),
    "monitoring.connection_check_interval": (0.25, 0.25),
    "monitoring.process_check_interval": ("500ms", 0.5),
    "monitoring.max_missed_heartbeats": (5, 5),
    "monitoring.heartbeat_grace_period": (0, 0.0),
    "monitoring.reconnection_grace_period": ("3m", 180.0),
    "monitoring.broadcast_to_agents": (True, True),
    "socket.ping_interval": ("1s", 1.0),
    "socket.ping_timeout": (7, 7.0),
    "socket.connect_timeout": ("2s", 2.0),
    "socket.max_message_size": (2048, 2048),
    "socket.transports": (["polling"], ("polling",)),
    "socket.allow_eio3": (False, False),
    "socket.cors_origins": (["https://a.example", "null"], ("https://a.example", "null")),
    "socket.cors_methods": ([], ()),
    "socket.subprotocols": (["dscore", "v2.fleet"], ("dscore", "v2.fleet")),
    "shutdown.intent": ("restart", "restart"),
    "shutdown.deadline": ("45s", 45.0),
    "shutdown.timeout": ("0s", 0.0),
    "shutdown.max_extension": ("1m", 60.0),
    "shutdown.close_timeout": (1, 1.0),
    "shutdown.notice": ("100ms", 0.1),
    "shutdown.spread": ("30s", 30.0),
    "shutdown.reconnect_window": ("20s", 20.0),
    "shutdown.request_timeout": ("30s", 30.0),
    "shutdown.lifespan_timeout": ("1m", 60.0),
    "shutdown.report": ("drain.json", Path("drain.json")),
    "session.ttl": ("2d", 172800.0),
    "session.outbox_limit": (0, 0),
    "auth.required": (True, True),
    "auth.token_file": ("agents", Path("agents")),
    "auth.operator_token_file": ("operators", Path("operators")),
    "auth.jwt_keys": ("issuer.pem", Path("issuer.pem")),
    "auth.jwt_issuer": ("https://id.example", "https://id.example"),
    "auth.jwt_audience": ("fleet", "fleet"),
    "auth.jwt_role_claim": ("realm_access.roles", "realm_access.roles"),
    "auth.jwt_agent_claim": ("agents", "agents"),
    "auth.jwt_leeway": ("1m", 60.0),
    "auth.tokens": (["secret-a", "secret-b"], ("secret-a", "secret-b")),
    "auth.operator_tokens": (["secret-c"], ("secret-c",)),
    "auth.timeout": ("5s", 5.0),
    "auth.local_operators": ("open", "open"),
    "limits.connections": (18000, 18000),
    "limits.accept_rate": (0.5, 0.5),
    "limits.connections_per_address": (50, 50),
    "limits.introductions_per_address": (60, 60),
    "limits.handshake_timeout": ("3s", 3.0),
    "limits.max_errors": (1, 1),
    "limits.header_size": (8192, 8192),
    "limits.body_size": (0, 0),
    "limits.upload_size": (0, 0),
    "limits.outbox_bytes": (65536, 65536),
    "limits.output_bytes": (2_000_000, 2_000_000),
    "limits.input_bytes": (2_000_000, 2_000_000),
    "limits.absent_bytes": (3_000_000, 3_000_000),
    "limits.history_bytes": (4_000_000, 4_000_000),
    "limits.fragments": (16, 16),
    "store.path": (":memory:", ":memory:"),
    "store.retention": ("1d", 86400.0),
    "health.status_code_when_draining": (200, 200),
    "log.level": ("debug", "debug"),
    "log.format": ("json", "json"),
    "log.language": ("ko", "ko"),
    "log.redact": (["site_code", "pin"], ("site_code", "pin")),
    "compat.app_ready_ack": (False, False),
    "socketio.watch_on_connect": (True, True),
}


def value(config: Config, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


def as_toml(settings: Mapping[str, object]) -> str:
    """A file with these settings; JSON's literals of these types are TOML's too."""
    lines = [
        f"[{section}]\n"
        + "".join(
            f"{name} = {json.dumps(settings[f'{section}.{name}'])}\n"
            for name in names
            if f"{section}.{name}" in settings
        )
        for section, names in SECTIONS.items()
    ]
    return "\n".join(lines)


def as_environment(settings: Mapping[str, object]) -> dict[str, str]:
    def text(one: object) -> str:
        return one if isinstance(one, str) else json.dumps(one)

    return {f"DSCORE_{key.replace('.', '__').upper()}": text(v) for key, v in settings.items()}


def problem(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults_are_those_of_the_protocol() -> None:
    shown = {row.key: row.value for row in rows(load())}
    assert shown == {
        "listen.host": "127.0.0.1",
        "listen.port": 8765,
        "listen.backlog": 4096,
        "listen.names": [],
        "listen.trusted_proxies": [],
        "listen.reactors": "auto",
        "listen.proxy_protocol": False,
        "listen.page": "/",
        "tls.certificates": [],
        "tls.keys": [],
        "tls.port": None,
        "tls.same_port": True,
        "tls.required": True,
        "tls.client_ca": None,
        "tls.client_auth": "none",
        "tls.client_crl": [],
        "tls.ticket_keys": None,
        "tls.record_layer": "rustls",
        "tls.handshakes": 1024,
        "tls.hsts": "1d",
        "monitoring.health_check_interval": "30s",
        "monitoring.offline_timeout": "5m",
        "monitoring.connection_check_interval": "30s",
        "monitoring.process_check_interval": "20s",
        "monitoring.max_missed_heartbeats": 3,
        "monitoring.heartbeat_grace_period": "1m",
        "monitoring.reconnection_grace_period": "2m",
        "monitoring.broadcast_to_agents": False,
        "socket.ping_interval": "30s",
        "socket.ping_timeout": "2m",
        "socket.connect_timeout": "1m",
        "socket.max_message_size": 1_000_000,
        "socket.transports": ["websocket", "polling"],
        "socket.allow_eio3": True,
        "socket.cors_origins": ["self"],
        "socket.cors_methods": ["GET", "POST"],
        "socket.subprotocols": [],
        "shutdown.intent": "terminate",
        "shutdown.deadline": None,
        "shutdown.timeout": "10s",
        "shutdown.max_extension": "20s",
        "shutdown.close_timeout": "2s",
        "shutdown.notice": "2s",
        "shutdown.spread": "0s",
        "shutdown.reconnect_window": None,
        "shutdown.request_timeout": "10s",
        "shutdown.lifespan_timeout": "10s",
        "shutdown.report": None,
        "session.ttl": "1h",
        "session.outbox_limit": 100,
        "auth.required": False,
        "auth.token_file": None,
        "auth.operator_token_file": None,
        "auth.jwt_keys": None,
        "auth.jwt_issuer": None,
        "auth.jwt_audience": None,
        "auth.jwt_role_claim": "role",
        "auth.jwt_agent_claim": "sub",
        "auth.jwt_leeway": "30s",
        "auth.tokens": [],
        "auth.operator_tokens": [],
        "auth.timeout": "10s",
        "auth.local_operators": "token",
        "limits.connections": None,
        "limits.accept_rate": None,
        "limits.connections_per_address": None,
        "limits.introductions_per_address": None,
        "limits.handshake_timeout": "10s",
        "limits.max_errors": 10,
        "limits.header_size": 16_384,
        "limits.body_size": 1_000_000,
        "limits.upload_size": 1 << 30,
        "limits.outbox_bytes": 1_048_576,
        "limits.output_bytes": 268_435_456,
        "limits.input_bytes": 268_435_456,
        "limits.absent_bytes": 268_435_456,
        "limits.history_bytes": 536_870_912,
        "limits.fragments": 4096,
        "store.path": "dscore.db",
        "store.retention": "30d",
        "health.status_code_when_draining": 503,
        "log.level": "info",
        "log.format": "auto",
        "log.language": "en",
        "log.redact": [],
        "compat.app_ready_ack": True,
        "socketio.watch_on_connect": False,
    }


def test_defaults_pass_their_own_checks() -> None:
    given = {
        section: {name: value(Config(), f"{section}.{name}") for name in names}
        for section, names in SECTIONS.items()
    }
    assert Config.model_validate(given) == Config()


def test_config_without_arguments_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSCORE_LISTEN__PORT", "1")
    assert Config().listen.port == 8765


def test_config_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Config().listen.port = 1  # type: ignore[misc]


def test_every_setting_has_a_docstring() -> None:
    models = Path(__file__).parent.parent / "python/dscore/config/models.py"
    source = models.read_text(encoding="utf-8")
    for key in KEYS:
        name = re.escape(key.split(".")[1])
        assert re.search(rf'^    {name}: (?:.|\n(?!    \w+:))*?\n    """', source, re.M), key


def test_example_file_has_every_setting_with_its_default(write_toml: Write) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert load(EXAMPLE).config == Config()
    loaded = load(write_toml(re.sub(r"^# (?=[a-z0-9_]+ = )", "", text, flags=re.M)))
    assert loaded.config == Config()
    assert [key for key in KEYS if loaded.origin[key] == "default"] == []


def test_example_file_marks_what_needs_a_restart() -> None:
    marked: set[str] = set()
    section, comment = "", ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif setting := re.match(r"# (\w+) = ", line):
            if comment.endswith("(restart)"):
                marked.add(f"{section}.{setting[1]}")
        else:
            comment = line
    assert marked == set(KEYS) - RELOADABLE


def test_flag_wins_over_environment_wins_over_file_wins_over_default(write_toml: Write) -> None:
    path = write_toml('[listen]\nport = 1\nhost = "::1"\nbacklog = 7\n')
    environ = {"DSCORE_LISTEN__PORT": "2", "DSCORE_LISTEN__HOST": "localhost"}
    loaded = load(path, flags={"listen.port": 3, "store.path": None}, environ=environ)
    listen = loaded.config.listen
    assert (listen.port, listen.host, listen.backlog) == (3, "localhost", 7)
    assert loaded.origin["listen.port"] == "flag --port"
    assert loaded.origin["listen.host"] == "environment DSCORE_LISTEN__HOST"
    assert loaded.origin["listen.backlog"] == f"file {path}"
    assert loaded.origin["listen.reactors"] == "default"
    assert loaded.origin["store.path"] == "default"
    assert set(loaded.origin) == set(KEYS)


def test_others_cover_every_setting() -> None:
    assert list(OTHERS) == list(KEYS)
    assert all(value(Config(), key) != meant for key, (_, meant) in OTHERS.items())


@given(st.sets(st.sampled_from(KEYS)))
def test_environment_and_file_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str]
) -> None:
    written = {key: OTHERS[key][0] for key in keys}
    path = tmp_path_factory.mktemp("config") / "dscore.toml"
    path.write_text(as_toml(written), encoding="utf-8")
    from_file, from_environment = load(path), load(environ=as_environment(written))
    assert from_file.config == from_environment.config
    for key in KEYS:
        expected = OTHERS[key][1] if key in keys else value(Config(), key)
        assert value(from_file.config, key) == expected
        assert from_file.origin[key].startswith("file" if key in keys else "default")
        assert from_environment.origin[key].startswith("environment" if key in keys else "default")


@given(st.sets(st.sampled_from([key for key in KEYS if not key.startswith("auth.")])))
def test_rows_are_what_a_file_may_say(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str]
) -> None:
    first = load(environ=as_environment({key: OTHERS[key][0] for key in keys}))
    path = tmp_path_factory.mktemp("config") / "dscore.toml"
    shown = {row.key: row.value for row in rows(first) if row.value is not None}
    path.write_text(as_toml(shown), encoding="utf-8")
    assert load(path).config == first.config


def test_list_in_the_environment_is_parted_by_commas_or_json() -> None:
    for text in ("a, b,", '["a", "b"]'):
        loaded = load(environ={"DSCORE_SOCKET__CORS_METHODS": text})
        assert loaded.config.socket.cors_methods == ("a", "b")


@pytest.mark.parametrize("text", ["", "none", "None"])
def test_nothing_in_the_environment_takes_a_value_back(write_toml: Write, text: str) -> None:
    path = write_toml("[limits]\nconnections = 5\n")
    loaded = load(path, environ={"DSCORE_LIMITS__CONNECTIONS": text})
    assert loaded.config.limits.connections is None


def test_environment_of_others_is_left_alone() -> None:
    others = {"DSCORE_URL": "x", "DSCORE_TOKEN": "y", "DSCORE_PORT": "tcp://1", "PATH": "z"}
    assert load(environ=others).warnings == ()


def test_single_underscore_in_the_environment_is_warned_of() -> None:
    loaded = load(environ={"DSCORE_LISTEN_PORT": "1"})
    assert loaded.config.listen.port == 8765
    assert loaded.warnings == (
        "environment DSCORE_LISTEN_PORT has no effect: did you mean DSCORE_LISTEN__PORT?",
    )


def test_file_with_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dscore.toml"
    path.write_bytes(b"\xef\xbb\xbf[listen]\nport = 1\n")
    assert load(path).config.listen.port == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[listen]\n\nprot = 1\n", "line 3: unknown key listen.prot: did you mean listen.port?"),
        (
            "[listen]\nping_timeout = 1\n",
            "line 2: unknown key listen.ping_timeout: did you mean soc",
        ),
        ("[listen]\nxyzzy = 1\n", "line 2: unknown key listen.xyzzy: did you mean "),
        ("[listne]\nport = 1\n", "line 1: unknown section [listne]: did you mean [listen]?"),
        ("[Listen]\nport = 1\n", "unknown section [Listen]: did you mean [listen]?"),
        ("port = 1\n", "unknown key port: did you mean listen.port?"),
        ("prot = 1\n", "unknown key prot: did you mean listen.port?"),
        ("[xyzzy]\n", "unknown section [xyzzy]: there are listen, tls, monitoring"),
        ("[socket]\npingIntervall = 1\n", "did you mean socket.pingInterval?"),
        ("[listen]\nhealthCheckInterval = 1\n", "unknown key listen.healthCheckInterval"),
        (
            "[socket.io]\nwatch_on_connect = true\n",
            "unknown key socket.io: did you mean [socketio]?",
        ),
        ("[socket]\ncors = { orign = 1 }\n", "did you mean socket.cors_origins?"),
        ("listen = 8765\n", "listen must be a table: write [listen]"),
        ("[listen\n", "is not valid TOML"),
    ],
)
def test_file_problem_names_the_place_and_the_nearest_setting(
    write_toml: Write, text: str, sentence: str
) -> None:
    path = write_toml(text)
    message = problem(path)
    assert message.startswith(str(path))
    assert sentence in message


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("DSCORE_LISTEN__PROT", "unknown, did you mean DSCORE_LISTEN__PORT?"),
        ("DSCORE_SOCKET__PINGINTERVAL", "unknown, did you mean DSCORE_SOCKET__pingInterval?"),
        ("DSCORE_LITSEN__PORT", "unknown section [litsen]: did you mean [listen]?"),
    ],
)
def test_unknown_variable_names_the_nearest_one(variable: str, sentence: str) -> None:
    message = problem(environ={variable: "1"})
    assert message == f"environment {variable}: {sentence}"


def test_unknown_flag_is_refused() -> None:
    assert "there is no setting listen.prot" in problem(flags={"listen.prot": 1})


WRONG: dict[str, list[object]] = {
    "listen.host": ["", 5, "a\nb"],
    "listen.port": [-1, 65536, 1.5, True, "x", "1.5", []],
    "listen.backlog": [0],
    "listen.reactors": [0, 257, "many"],
    "listen.trusted_proxies": [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "::ffff:10.0.0.0/104",
        "::ffff:10.0.0.1",
        "proxy.example",
        "*",
        [1],
        [""],
    ],
    "listen.names": ["https://a", "a:80", "*.a", [""], "a/b", "[fd00::1"],
    "monitoring.health_check_interval": [0, "soon", "8d"],
    "monitoring.max_missed_heartbeats": [0],
    "monitoring.broadcast_to_agents": ["maybe", 1, 0.0],
    "socket.max_message_size": [10, "1MB"],
    "socket.transports": [[], "carrier-pigeon", [1], "[1"],
    "socket.cors_origins": [True, ["", "a"], {"a": 1}],
    "socket.subprotocols": [1, ["a b"], ["a", ""], 'a"b'],
    "shutdown.intent": ["stop", 1],
    "shutdown.reconnect_window": ["x", -1],
    "shutdown.report": [1, "a\0b"],
    "limits.connections": [0, "x"],
    "auth.jwt_issuer": [7, "two\nlines"],
    "auth.jwt_role_claim": ["", 7],
    "auth.jwt_leeway": ["6m", -1],
    "limits.accept_rate": [0, "x", float("nan"), True],
    "limits.connections_per_address": [0, -1, "x", 1.5, True],
    "limits.introductions_per_address": [0, 1_000_001, "many"],
    "log.level": ["verbose"],
    "health.status_code_when_draining": [99, 600],
}


@pytest.mark.parametrize(
    ("key", "wrong"), [(key, wrong) for key, values in WRONG.items() for wrong in values]
)
def test_wrong_value_is_refused_with_name_value_place_and_remedy(key: str, wrong: object) -> None:
    message = problem(flags={key: wrong})
    assert message.startswith(f"{key} = {wrong!r} (flag --")
    assert re.search(r"\): .*must (be|name)|is none", message)


def test_wrong_value_in_python_is_a_value_error_that_names_the_field() -> None:
    with pytest.raises(ValueError, match=r"port\n.*between 0 and 65535"):
        ListenConfig(port=70000)
    with pytest.raises(ValueError, match="prot"):
        ListenConfig(prot=1)  # type: ignore[call-arg]


def test_a_wrong_name_in_python_is_answered_with_the_nearest_as_in_a_file() -> None:
    wrong = {"listen": {"prot": 1, "port": "x"}, "shutdwn": {}, "port": 1, "socket": {"io": 1}}
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(wrong)
    told = {".".join(map(str, each["loc"])): each["msg"] for each in caught.value.errors()}
    assert told["listen.prot"] == "unknown key listen.prot: did you mean listen.port?"
    assert told["shutdwn"] == "unknown section [shutdwn]: did you mean [shutdown]?"
    assert told["port"] == "unknown key port: did you mean listen.port?"
    assert told["socket.io"] == "unknown key socket.io: did you mean [socketio]?"
    assert "must be a whole number" in told["listen.port"]
    assert len(told) == 5
    with pytest.raises(ValueError, match=r"did you mean shutdown\.timeout\?"):
        ShutdownConfig(timout=1)  # type: ignore[call-arg]

    class Own(ListenConfig):
        pass

    with pytest.raises(ValueError, match=r"did you mean listen\.host\?"):
        Own(hots="a")  # type: ignore[call-arg]


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"listen.port": -1, "listen.backlog": 0, "log.level": "x"})
    assert len(caught.value.problems) == 3
    assert str(caught.value) == f"{caught.value.problems[0]} (and 2 more problems)"


def test_every_problem_of_a_file_is_reported_at_once_names_and_values(
    write_toml: Callable[[str], Path],
) -> None:
    path = write_toml(
        '[listen]\nprot = 1\nport = "x"\n[shutdwn]\ntimeout = 1\n[log]\nlevel = "loud"\n'
        '[monitoring]\nhealthCheckInterval = 1000\nhealth_check_interval = "1s"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(path, environ={"DSCORE_LIMITS__FRAGMENTS": "0", "DSCORE_LOG__LEVL": "info"})
    told = "\n".join(caught.value.problems)
    for part in (
        "line 2: unknown key listen.prot",
        "listen.port = 'x'",
        "line 4: unknown section [shutdwn]",
        "log.level = 'loud'",
        "healthCheckInterval",
        "limits.fragments = '0' (environment DSCORE_LIMITS__FRAGMENTS)",
        "environment DSCORE_LOG__LEVL: unknown",
    ):
        assert part in told
    assert len(caught.value.problems) == 7


def test_long_wrong_value_is_cut() -> None:
    assert len(problem(flags={"log.level": "x" * 10_000})) < 200


@pytest.mark.parametrize("wrong", [[1, "secret"], ["secret", ""], {"secret": 1}])
def test_secret_is_not_shown_in_an_error(wrong: object) -> None:
    assert "secret" not in problem(flags={"auth.tokens": wrong})


def test_secret_is_not_shown_in_rows_or_repr() -> None:
    loaded = load(environ={"DSCORE_AUTH__TOKENS": "secret-a,secret-b"})
    assert loaded.config.auth.tokens == ("secret-a", "secret-b")
    shown = {row.key: row.value for row in rows(loaded)}
    assert shown["auth.tokens"] == ["***", "***"]
    assert "secret" not in repr(loaded)


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        ("https://page.example/", "https://page.example"),
        ("https://page.example/fleet?a=http://b", "https://page.example"),
        ("page.example", "https://page.example"),
        ("page.example:8443", "https://page.example:8443"),
        ("https://page.example:443", "https://page.example"),
        ("http://page.example:80/", "http://page.example"),
        ("HTTP://Page.example:8080", "http://page.example:8080"),
        ("http://me:secret@[::1]:8080", "http://[::1]:8080"),
        ("https://*.page.example", "https://page.example:8443"),
        ("https://päge.example", "https://page.example:8443"),
        ("https://page.example:port", "https://page.example:8443"),
        ("file:///page.html", "https://page.example:8443"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_with_the_one_it_would(
    entry: str, remedy: str
) -> None:
    message = problem(flags={"socket.cors_origins": ["https://fine.example", entry]})
    assert message.endswith(f"{entry!r} must be an origin as browsers send it, such as {remedy!r}")


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "self",
        "null",
        "file://",
        "http://localhost",
        "https://[::1]:8443",
        "http://a:443",
        "chrome-extension://ab",
    ],
)
def test_an_origin_as_browsers_send_it_is_taken(entry: str) -> None:
    loaded = load(flags={"socket.cors_origins": [entry]})
    assert loaded.config.socket.cors_origins == (entry,)


@pytest.mark.parametrize("name", ["health_check_interval", "connection_check_interval"])
def test_offline_timeout_must_be_longer_than_the_interval_of_heartbeats(
    write_toml: Write, name: str
) -> None:
    path = write_toml(f"[monitoring]\noffline_timeout = 40\n{name} = 40\n")
    message = problem(path)
    assert message.startswith("monitoring.offline_timeout (40s) must be longer than monitoring.")
    assert name in message
    assert str(path) in message
    assert MonitoringConfig(offline_timeout=41, **{name: 40}).offline_timeout == 41


def test_unreadable_file_says_why(tmp_path: Path) -> None:
    assert "No such file" in problem(tmp_path / "none.toml")
    assert "cannot be read" in problem(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    assert "is not UTF-8" in problem(tmp_path / "latin.toml")


def test_compare_parts_what_is_live_from_what_needs_a_restart() -> None:
    new = load(flags={key: OTHERS[key][0] for key in KEYS}).config
    changes = compare(Config(), new)
    assert changes.live + changes.needs_restart != ()
    assert set(changes.live) == RELOADABLE
    assert set(changes.needs_restart) == {
        "listen.host",
        "listen.port",
        "listen.backlog",
        "listen.names",
        "listen.reactors",
        "listen.proxy_protocol",
        "listen.page",
        "tls.port",
        "tls.same_port",
        "tls.required",
        "tls.handshakes",
        "socket.transports",
        "socket.allow_eio3",
        "socket.cors_origins",
        "store.path",
        "health.status_code_when_draining",
        "log.format",
        "log.redact",
    }
    assert not compare(new, new)


@given(st.sets(st.sampled_from(KEYS)))
def test_merge_live_takes_over_only_what_is_live(keys: set[str]) -> None:
    new = load(flags={key: OTHERS[key][0] for key in keys}).config
    merged = merge_live(Config(), new)
    assert set(compare(Config(), merged).live) == keys & RELOADABLE
    assert set(compare(merged, new).needs_restart) == keys - RELOADABLE
    assert compare(merged, new).live == ()


@pytest.mark.parametrize("page", ["/", "/fleet", "/fleet/", "/a/b.c/~x/"])
def test_a_page_may_be_at_any_plain_path(page: str) -> None:
    assert load(flags={"listen.page": page}).config.listen.page == page


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("fleet", "must be a path"),
        ("", "must be a path"),
        ("//evil.example/", "must be a path"),
        ("/a//b", "must be a path"),
        ("/a/../b/", "must be a path"),
        ("/a b/", "must be a path"),
        ("/a?b", "must be a path"),
        ("/a%2Fb", "must be a path"),
        ('/"><script>', "must be a path"),
        (5, "must be a path"),
        ("/metrics", "is taken"),
        ("/api/v1", "is taken"),
        ("/api/v1/agents", "is taken"),
        ("/deepstream/ws", "is taken"),
        ("/socket.io/", "is taken"),
        ("/openapi.json", "is taken"),
    ],
)
def test_a_page_may_be_nowhere_else(page: object, why: str) -> None:
    assert why in problem(flags={"listen.page": page})


def test_local_operators_is_one_of_two_words() -> None:
    assert "must be one of token, open" in problem(flags={"auth.local_operators": "opne"})
