"""The agent's settings: the DeepStream contract's `[websocket]` section, more keys, their sources.

Flags win over `DSCORE_AGENT_*` variables, these over the file, the file over the defaults. Every
error names its place: file and line, variable or flag.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import orjson

from dscore_agent import files, ini, pins
from dscore_agent.dial import check_proxy
from dscore_agent.errors import ConfigError
from dscore_agent.events import Kind
from dscore_agent.identity import default_instance_id
from dscore_agent.reconnect import ReconnectPolicy

DEFAULT_URL = "ws://127.0.0.1:8765/deepstream/ws"
Dialect = Literal["raw", "socketio"]
PATHS: Mapping[Dialect, str] = {"raw": "/deepstream/ws", "socketio": "/socket.io/"}
"""Where the server speaks which dialect; longer ones begin with where a proxy has put it."""
VARIABLES = "DSCORE_AGENT_"
MAX_ID = 128
"""Bytes; the server refuses longer ones."""
MAX_SECONDS = 86_400.0


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """How one agent behaves. Times are in seconds.

    Attributes:
        url: Where the server listens for agents, ws:// or wss://; without a path it is the
            dialect's.
        dialect: How messages are written: "raw" is a JSON object each, "socketio" is Socket.IO.
        instance_id: The agent's name, alone in the fleet.
        token: Shown to the server, where it wants one.
        token_file: Where the token is, instead: read anew before each attempt.
        ca_file: Certificates to trust instead of the system's, for wss.
        server_fingerprints: SHA-256 of certificates; a server with any other is left at once,
            though its authority is trusted. Before it is renewed: the next one's too.
        cert_file: The client certificate, with its chain.
        key_file: The key of it, if it is not in the same file.
        proxy: An HTTP proxy that connects to the server; "none": no proxy; None: the environment's.
        app_config: The `config` object of app_ready.
        health_check_enabled: Look at the server's health before each attempt, and now and then
            while connected.
        health_check_interval: Between two looks while connected.
        health_check_timeout: How long an answer may take.
        graceful_shutdown_timeout: The application has this long to stop.
        pipeline_stop_timeout: Of it, how long a pipeline may take to reach its end of stream.
        reconnect: When to come back.
        ping_interval: Between two pings.
        ping_timeout: Nothing from the server for this long beyond `ping_interval`: it is gone.
        outbox_limit: Messages kept while away; beyond it the oldest is dropped.
        max_message_size: Bytes; the server's limit, past which it would close the connection.
        metrics_port: Where Prometheus may ask on this machine; None: nowhere.
        pipeline_reports: What is told to the server when it happens in the pipeline.
        pipeline_restart: Of `dscore-agent`: a pipeline that fails, or a live one that ends unasked,
            is built anew, where otherwise the process ends.

    Raises:
        ConfigError: A value cannot be used; says which.
    """

    url: str = "ws://127.0.0.1:8765"
    dialect: Dialect = "raw"
    instance_id: str = field(default_factory=default_instance_id)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: Path | None = None
    server_fingerprints: tuple[str, ...] = ()
    cert_file: Path | None = None
    key_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    app_config: Mapping[str, Any] = field(default_factory=dict)
    health_check_enabled: bool = True
    health_check_interval: float = 30.0
    health_check_timeout: float = 5.0
    graceful_shutdown_timeout: float = 10.0
    pipeline_stop_timeout: float = 5.0
    reconnect: ReconnectPolicy = field(default_factory=ReconnectPolicy)
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    outbox_limit: int = 1000
    max_message_size: int = 1_000_000
    metrics_port: int | None = None
    pipeline_reports: tuple[Kind, ...] = ()
    pipeline_restart: bool = False

    def __post_init__(self) -> None:
        self._check("url", _url)
        self._check("dialect", _dialect)
        self._check("instance_id", _instance_id)
        self._complete_url()
        self._check("server_fingerprints", lambda many: pins.parse(",".join(many)))
        if self.proxy is not None:
            self._check("proxy", check_proxy)
        if self.token is not None and self.token_file is not None:
            raise ConfigError("token_file: give a token or its file, not both")
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("key_file: a key needs its cert_file")

    def _check(self, name: str, parse: Callable[[Any], object]) -> None:
        try:
            object.__setattr__(self, name, parse(getattr(self, name)))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None

    def _complete_url(self) -> None:
        parts = urlsplit(self.url)
        if parts.path in ("", "/"):
            object.__setattr__(self, "url", parts._replace(path=PATHS[self.dialect]).geturl())
        for dialect, path in PATHS.items():
            if dialect != self.dialect and parts.path.rstrip("/").endswith(path.rstrip("/")):
                raise ConfigError(f"url: {path} is for dialect={dialect}; leave the path out")

    @property
    def is_secure(self) -> bool:
        """The connection is encrypted."""
        return self.url.startswith("wss:")

    @property
    def connect_url(self) -> str:
        """The address with what the dialect adds to it."""
        if self.dialect == "raw":
            return self.url
        parts = urlsplit(self.url)
        query = "&".join(filter(None, (parts.query, "EIO=4&transport=websocket")))
        return parts._replace(query=query).geturl()

    @property
    def health_url(self) -> str:
        """The health page of the same server, behind the same proxy."""
        parts = urlsplit(self.url)
        parent = parts.path.rstrip("/").rpartition("/")[0]
        if self.dialect == "socketio":
            parent += "/deepstream"
        scheme = "https" if self.is_secure else "http"
        return f"{scheme}://{parts.netloc}{parent}/health"


@dataclass(frozen=True)
class _Given:
    """A setting as it was written."""

    key: str
    text: str
    origin: str


def load(
    path: Path | str | None = None,
    *,
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> AgentConfig:
    """Reads the settings of one agent.

    Args:
        path: A file with a section `[websocket]`; None: no file.
        flags: Settings of a command line by the file's names; None: not given.
        environ: The environment; `DSCORE_AGENT_URL` sets `url`, and so on.

    Raises:
        ConfigError: Something is wrong; every problem is named with its place.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for given in _winners(path, flags or {}, environ or {}, problems):
        parse, name = _SETTINGS[given.key]
        try:
            values[name] = parse(given.text)
            origins[name.rpartition(".")[2]] = f"{given.origin}: {given.key}"
        except ValueError as error:
            problems.append(f"{given.origin}: {given.key}: {error}")
    if problems:
        raise ConfigError(*problems)
    policy = {name[10:]: values.pop(name) for name in [*values] if name.startswith("reconnect.")}
    try:
        return AgentConfig(**values, reconnect=replace(ReconnectPolicy(), **policy))
    except ConfigError as error:
        name, _, sentence = str(error).partition(": ")
        raise ConfigError(f"{origins.get(name, name)}: {sentence}") from None


def _winners(
    path: Path | str | None,
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    problems: list[str],
) -> Iterable[_Given]:
    """The settings that count, each from its strongest source."""
    chosen: dict[str, _Given] = {}

    def choose(key: str, text: str, origin: str) -> None:
        # By what they set, not by name: a token file of the environment wins over the file's token.
        chosen[key.removesuffix("_file") if key in _TOKEN else key] = _Given(key, text, origin)

    if path is not None:
        for entry in ini.read(Path(path)):
            if entry.key in _SETTINGS:
                choose(entry.key, entry.value, entry.origin)
            elif meant := _nearest(entry.key, 0.8):
                # Only what looks like a slip: other programs' keys stand in the same section.
                problems.append(f"{entry.origin}: {entry.key}: did you mean {meant}?")
    for name, text in environ.items():
        if name.startswith(VARIABLES):
            key = name[len(VARIABLES) :].lower()
            if key in _SETTINGS:
                choose(key, text, name)
            else:
                problems.append(f"{name}: {_unknown(key, lambda near: VARIABLES + near.upper())}")
    for key, value in flags.items():
        if key not in _SETTINGS:
            problems.append(f"command line: {key}: {_unknown(key)}")
        elif value is not None:
            choose(key, value, "command line")
    return chosen.values()


def _unknown(key: str, written: Callable[[str], str] = str) -> str:
    """Words for a name that is no setting; `written` is how a setting is written in its place."""
    if meant := _nearest(key, 0.6):
        return f"unknown setting, did you mean {written(meant)}?"
    return "unknown setting; docs/agent.md lists them"


def _nearest(key: str, cutoff: float) -> str:
    near = difflib.get_close_matches(key.lower(), _SETTINGS, n=1, cutoff=cutoff)
    return near[0] if near else ""


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _boolean(text: str) -> bool:
    word = text.lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError(f"must be true or false, not {text!r}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"must be a number of seconds above 0, not {text!r}")
    return seconds


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return parse


def _file(text: str) -> Path:
    path = Path(_text(text)).expanduser()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _token_file(text: str) -> Path:
    path = _file(text)
    read_token(path)
    return path


def read_token(path: Path) -> str:
    """The token in a file: its first line that is neither blank nor a comment.

    Raises:
        ValueError: It cannot be read, or there is none in it.
    """
    try:
        lines = files.read(path, files.MAX_TOKEN).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    tokens = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not tokens:
        raise ValueError(f"there is no token in {path}")
    return tokens[0]


def _object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object such as {"site": "north"}')
    return value


def _kinds(text: str) -> tuple[Kind, ...]:
    words = {word.strip() for word in text.split(",")} - {""}
    if strange := words - set(get_args(Kind)):
        raise ValueError(f"there are {', '.join(get_args(Kind))}, not {', '.join(sorted(strange))}")
    return tuple(kind for kind in get_args(Kind) if kind in words)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"must be an address such as {DEFAULT_URL}, not {text!r}")
    if "@" in parts.netloc:
        raise ValueError("must hold no user and password: use token or token_file")
    return text


def _dialect(text: str) -> str:
    if text not in PATHS:
        raise ValueError(f"must be {' or '.join(PATHS)}, not {text!r}")
    return text


def _instance_id(text: str) -> str:
    if not text or len(text.encode()) > MAX_ID:
        raise ValueError(f"must have 1 to {MAX_ID} bytes")
    return text


_TOKEN = ("token", "token_file")

_SETTINGS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    # The DeepStream contract's, in its units and with its defaults.
    "health_check_interval_sec": (_seconds, "health_check_interval"),
    "health_check_timeout_sec": (_seconds, "health_check_timeout"),
    "health_check_enabled": (_boolean, "health_check_enabled"),
    "graceful_shutdown_timeout_sec": (_seconds, "graceful_shutdown_timeout"),
    "pipeline_stop_timeout_sec": (_seconds, "pipeline_stop_timeout"),
    "exponential_backoff_enabled": (_boolean, "reconnect.exponential"),
    "max_reconnect_delay_sec": (_seconds, "reconnect.cap"),
    "server_shutdown_retry_delay_sec": (_seconds, "reconnect.shutdown_delay"),
    # Further keys.
    "url": (_url, "url"),
    "dialect": (_dialect, "dialect"),
    "instance_id": (_instance_id, "instance_id"),
    "token": (_text, "token"),
    "token_file": (_token_file, "token_file"),
    "ca_file": (_file, "ca_file"),
    "server_fingerprints": (pins.parse, "server_fingerprints"),
    "cert_file": (_file, "cert_file"),
    "key_file": (_file, "key_file"),
    "proxy": (check_proxy, "proxy"),
    "app_config": (_object, "app_config"),
    "identity_retry_delay_sec": (_seconds, "reconnect.identity_delay"),
    "reconnect_jitter_enabled": (_boolean, "reconnect.jitter"),
    "ping_interval_sec": (_seconds, "ping_interval"),
    "ping_timeout_sec": (_seconds, "ping_timeout"),
    "outbox_limit": (_whole(1, 1_000_000), "outbox_limit"),
    "max_message_size": (_whole(64, 100_000_000), "max_message_size"),
    "metrics_port": (_whole(1, 65535), "metrics_port"),
    "pipeline_reports": (_kinds, "pipeline_reports"),
    "pipeline_restart": (_boolean, "pipeline_restart"),
}
