"""Settings of the agent: the contract's file as it is, ours, and every error with its place."""

import re
from pathlib import Path

import pytest

from dscore_agent import AgentConfig, ConfigError, ReconnectPolicy, load
from dscore_agent.credentials import read_credentials
from dscore_agent.files import MAX_CONFIG
from dscore_agent.identity import default_instance_id
from odd_files import KINDS, odd_file

DEEPSTREAM_FILE = """\
# websocket_config.txt에 추가할 설정
[application]
enable-perf-measurement=1

[websocket]
# ... 기존 설정 ...
server_host=10.0.0.1

# Health check 관련 설정
health_check_interval_sec=30
health_check_timeout_sec=5
health_check_enabled=true

# Graceful shutdown 설정
graceful_shutdown_timeout_sec=10
pipeline_stop_timeout_sec=5

# 재연결 전략 설정
exponential_backoff_enabled=true
max_reconnect_delay_sec=60
server_shutdown_retry_delay_sec=10
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "websocket_config.txt"


def wrong(path: Path, text: str) -> tuple[str, ...]:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    return tuple(problem.replace(f"{path}", "FILE") for problem in caught.value.problems)


def test_the_deepstream_contract_s_file_is_read_unchanged_and_says_the_defaults(path: Path) -> None:
    path.write_text(DEEPSTREAM_FILE, encoding="utf-8")
    assert load(path) == AgentConfig()


def test_every_key_of_the_deepstream_contract_is_obeyed(path: Path) -> None:
    path.write_text(
        "[websocket]\n"
        "health_check_interval_sec=1.5\nhealth_check_timeout_sec = 2\nhealth_check_enabled=0\n"
        "graceful_shutdown_timeout_sec=3\npipeline_stop_timeout_sec=4\n"
        "exponential_backoff_enabled=false\nmax_reconnect_delay_sec=5\n"
        "server_shutdown_retry_delay_sec=6\n"
    )
    assert load(path) == AgentConfig(
        health_check_interval=1.5,
        health_check_timeout=2,
        health_check_enabled=False,
        graceful_shutdown_timeout=3,
        pipeline_stop_timeout=4,
        reconnect=ReconnectPolicy(exponential=False, cap=5, shutdown_delay=6),
    )


def test_our_keys_are_obeyed(path: Path, tmp_path: Path) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.pem"
    token.write_text("# the agents' token\n\n s3cret \n")
    ca.write_text("")
    path.write_text(
        "[websocket]\n"
        f"url=wss://example.net/deepstream/ws\ninstance_id=cam-1\ntoken_file={token}\n"
        f"ca_file={ca}\ncert_file={ca}\nkey_file={ca}\nproxy=http://p:1\n"
        'app_config={"site": "north"}\nreconnect_jitter_enabled=no\nping_interval_sec=1\n'
        "identity_retry_delay_sec=60\n"
        "ping_timeout_sec=2\noutbox_limit=3\nmax_message_size=1000\nmetrics_port=9100\n"
        "pipeline_reports=warning, error\n"
    )
    assert load(path) == AgentConfig(
        url="wss://example.net/deepstream/ws",
        instance_id="cam-1",
        token_file=token,
        ca_file=ca,
        cert_file=ca,
        key_file=ca,
        proxy="http://p:1",
        app_config={"site": "north"},
        reconnect=ReconnectPolicy(jitter=False, identity_delay=60),
        ping_interval=1,
        ping_timeout=2,
        outbox_limit=3,
        max_message_size=1000,
        metrics_port=9100,
        pipeline_reports=("error", "warning"),
    )


def test_flags_win_over_variables_over_the_file(path: Path) -> None:
    path.write_text("[websocket]\ninstance_id=file\nping_interval_sec=1\nping_timeout_sec=1\n")
    environ = {"DSCORE_AGENT_INSTANCE_ID": "env", "DSCORE_AGENT_PING_INTERVAL_SEC": "2"}
    config = load(path, flags={"instance_id": "flag", "url": None}, environ=environ)
    assert (config.instance_id, config.ping_interval, config.ping_timeout) == ("flag", 2, 1)


def test_a_stronger_token_wins_over_a_weaker_token_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("weak\n")
    path.write_text(f"[websocket]\ntoken_file={tmp_path / 'token'}\n")
    assert load(path, environ={"DSCORE_AGENT_TOKEN": "strong"}).token == "strong"


def test_every_problem_names_its_line(path: Path) -> None:
    assert wrong(
        path,
        "[websocket]\nhealth_check_interval_sec=soon\n[other]\nhealth_check_enabled=what\n"
        "[websocket]\nhealth_check_enabled=maybe\noutbox_limit=0\nurl=http://x\n",
    ) == (
        "FILE:2: health_check_interval_sec: must be a number of seconds above 0, not 'soon'",
        "FILE:6: health_check_enabled: must be true or false, not 'maybe'",
        "FILE:7: outbox_limit: must be a whole number from 1 to 1000000, not '0'",
        "FILE:8: url: must be an address such as ws://127.0.0.1:8765/deepstream/ws, not 'http://x'",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[websocket]\nnonsense\n", "FILE:2: a setting is written key=value"),
        ("[websocket]\n=1\n", "FILE:2: a setting is written key=value"),
        ("[websocket\n", "FILE:1: a section is written [name]"),
        ("[web]\nurl=ws://x\n", "FILE: there is no section [websocket]"),
        ("[a]\n[websocet]\nurl=ws://x\n", "FILE:2: [websocet]: did you mean [websocket]?"),
        ("[WebSocket]\nurl=ws://x\n", "FILE:1: [WebSocket]: did you mean [websocket]?"),
        (
            "[websocket]\nurl=ws://x\nurl=ws://y\n",
            "FILE:3: url is given twice, first in line 2",
        ),
        (
            "[websocket]\nmax_reconnect_delay_secs=1\n",
            "FILE:2: max_reconnect_delay_secs: did you mean max_reconnect_delay_sec?",
        ),
        ("[websocket]\nca_file=/no/such\n", "FILE:2: ca_file: there is no file /no/such"),
        ("[websocket]\ninstance_id=\n", "FILE:2: instance_id: must have 1 to 128 bytes"),
        ("[websocket]\ntoken=\n", "FILE:2: token: must not be empty"),
        ("[websocket]\nping_timeout_sec=nan\n", "FILE:2: ping_timeout_sec: must be a number"),
        ("[websocket]\nping_timeout_sec=-1\n", "FILE:2: ping_timeout_sec: must be a number"),
        ("[websocket]\napp_config=[]\n", "FILE:2: app_config: must be a JSON object"),
        ("[websocket]\npipeline_reports=errors\n", "FILE:2: pipeline_reports: there are error,"),
    ],
)
def test_a_wrong_line_is_named(path: Path, text: str, sentence: str) -> None:
    assert wrong(path, text)[0].startswith(sentence)


def test_a_key_without_its_certificate_names_the_line(path: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("")
    text = f"[websocket]\n\nkey_file={tmp_path / 'key.pem'}\n"
    assert wrong(path, text) == ("FILE:3: key_file: a key needs its cert_file",)


def test_a_variable_or_a_flag_is_named(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"ulr": "ws://x"}, environ={"DSCORE_AGENT_PING_TIMEOUT": "1", "PATH": "/"})
    assert caught.value.problems == (
        "DSCORE_AGENT_PING_TIMEOUT: unknown setting, did you mean DSCORE_AGENT_PING_TIMEOUT_SEC?",
        "command line: ulr: unknown setting, did you mean url?",
    )
    # What is near nothing is likened to nothing: `foo` was taken for outbox_limit.
    with pytest.raises(ConfigError) as caught:
        load(flags={"foo": "1"}, environ={"DSCORE_AGENT_FOO": "1"})
    assert caught.value.problems == (
        "DSCORE_AGENT_FOO: unknown setting; docs/agent.md lists them",
        "command line: foo: unknown setting; docs/agent.md lists them",
    )
    with pytest.raises(ConfigError, match="DSCORE_AGENT_METRICS_PORT: metrics_port: must be"):
        load(environ={"DSCORE_AGENT_METRICS_PORT": "65536"})
    with pytest.raises(ConfigError, match="command line: url: must be"):
        load(flags={"url": "nonsense"})


@pytest.mark.parametrize("text", [None, b"\xff\xfe[websocket]"])
def test_a_file_that_cannot_be_read_is_named(path: Path, text: bytes | None) -> None:
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigError, match=re.escape(f"cannot read {path}: ")):
        load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_neither_blocks_nor_fills_the_memory(tmp_path: Path, kind: str) -> None:
    path = odd_file(tmp_path, kind)
    why = (
        f"it has more than {MAX_CONFIG} bytes" if kind == "too long" else "it is not a regular file"
    )
    with pytest.raises(ConfigError, match=re.escape(f"cannot read {path}: {why}")):
        load(path)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "wss://127.0.0.1:1"])
def test_a_certificate_that_is_none_is_said_whatever_the_address(tmp_path: Path, url: str) -> None:
    nonsense, certificate = tmp_path / "nonsense.pem", tmp_path / "certificate.pem"
    nonsense.write_text("nonsense")
    certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    huge = odd_file(tmp_path, "too long")
    cases: list[tuple[dict[str, Path], str]] = [
        ({"ca_file": nonsense}, f"ca_file: cannot use {nonsense}: there is no certificate in it"),
        ({"cert_file": nonsense}, f"cert_file: cannot use {nonsense}: there is no certificate"),
        ({"cert_file": certificate, "key_file": nonsense}, "there is no private key in it (PEM)"),
        ({"cert_file": certificate}, "there is no private key in it: set key_file"),
        ({"ca_file": huge}, f"ca_file: cannot use {huge}: it has more than 8388608 bytes"),
    ]
    for files, words in cases:
        with pytest.raises(ConfigError, match=re.escape(words)):
            read_credentials(AgentConfig(url=url, **files))


def test_a_byte_order_mark_and_windows_lines_are_no_obstacle(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf[websocket]\r\nurl=ws://x:1/y\r\n")
    assert load(path).url == "ws://x:1/y"


@pytest.mark.parametrize(
    ("url", "agents", "health"),
    [
        ("ws://h:1", "ws://h:1/deepstream/ws", "http://h:1/deepstream/health"),
        ("wss://h/", "wss://h/deepstream/ws", "https://h/deepstream/health"),
        (
            "ws://[::1]:9/deepstream/ws",
            "ws://[::1]:9/deepstream/ws",
            "http://[::1]:9/deepstream/health",
        ),
        (
            "ws://h/edge/deepstream/ws",
            "ws://h/edge/deepstream/ws",
            "http://h/edge/deepstream/health",
        ),
    ],
)
def test_the_health_page_is_beside_the_address_for_agents(
    url: str, agents: str, health: str
) -> None:
    config = AgentConfig(url=url)
    assert (config.url, config.health_url) == (agents, health)


def test_socketio_has_an_address_of_its_own_and_the_same_health_page() -> None:
    config = AgentConfig(url="wss://h/edge/socket.io/?site=north", dialect="socketio")
    assert config.connect_url == "wss://h/edge/socket.io/?site=north&EIO=4&transport=websocket"
    assert config.health_url == "https://h/edge/deepstream/health"
    config = AgentConfig(url="ws://h:1", dialect="socketio")
    assert config.connect_url == "ws://h:1/socket.io/?EIO=4&transport=websocket"
    assert config.health_url == "http://h:1/deepstream/health"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"dialect": "mqtt"}, "command line: dialect: must be raw or socketio, not 'mqtt'"),
        (
            {"dialect": "socketio", "url": "ws://h/deepstream/ws"},
            "command line: url: /deepstream/ws is for dialect=raw; leave the path out",
        ),
        (
            {"url": "ws://h/socket.io"},
            "command line: url: /socket.io/ is for dialect=socketio; leave the path out",
        ),
    ],
)
def test_a_dialect_that_does_not_fit_is_said(flags: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        load(flags=flags)


@pytest.mark.parametrize("url", ["ws://me:secret@a", "wss://me@a/deepstream/ws", "ws://@a"])
def test_a_user_and_a_password_are_refused(path: Path, url: str) -> None:
    refused = wrong(path, f"[websocket]\nurl={url}\n")
    assert refused == ("FILE:2: url: must hold no user and password: use token or token_file",)


def test_a_token_is_not_shown() -> None:
    assert "s3cret" not in repr(AgentConfig(token="s3cret"))


def test_the_default_id_outlives_the_process_and_does_not_show_the_machine_s(
    tmp_path: Path,
) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    paths = (tmp_path / "missing", machine)
    first = default_instance_id("box", paths)
    assert first == default_instance_id("box", paths)
    assert re.fullmatch(r"box-[0-9a-f]{8}", first)
    assert first != default_instance_id("box", (tmp_path / "missing",))
    assert "01234567" not in first
    assert len(default_instance_id("h" * 300, paths).encode()) <= 128
