"""Calls to the operator API, and what their failures mean in words."""

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import SplitResult, quote, urlsplit

import httpx
import orjson

from dscore import operator_token
from dscore.agent_ids import has_control, trimmed
from dscore.cli.errors import FAILED, USAGE, CliError
from dscore.http.loopback import is_loopback
from dscore_agent.tls import is_plain_answer, is_unknown_authority, sentence

PATIENCE = 15.0
"""Seconds for an answer that does not wait for agents."""

Shape: TypeAlias = type | tuple["Shape", ...] | Mapping[str, "Shape"] | list["Shape"]
"""What is read of a document, as `fits` takes it."""


class Client:
    """A connection to one server. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        token: str | None,
        cacert: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """Prepares calls to a server.

        Args:
            url: Its address.
            token: The operator's; None: the one that a server on this machine has left.
            cacert: Whom to trust, instead of the system's authorities.
            cert: A client certificate.
            key: Its key, where that is not in the same file.

        Raises:
            CliError: one of them cannot be used.
        """
        self.url = _base_url(url)
        self.cacert, self.cert, self.key = cacert, cert, key
        parts = urlsplit(self.url)
        # A proxy of the environment never knows the way to this machine's own loopback.
        loopback = is_loopback(parts.hostname or "")
        self._left = None if token else _left_token(parts)
        self._places = operator_token.places(parts.hostname or "", os.environ)
        if self._left is not None:
            token = self._left.token
        if token and has_control(token):
            raise CliError("--token: a token is one word, without control characters", USAGE)
        self.token = token = token or None
        self._http = httpx.Client(
            base_url=self.url,
            # In UTF-8: httpx would refuse a text that is not ASCII.
            headers={} if token is None else {b"authorization": f"Bearer {token}".encode()},
            timeout=PATIENCE,
            verify=_context(cacert, cert, key),
            trust_env=not loopback,
            limits=httpx.Limits(max_connections=None),
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, shape: Shape, *, headers: Mapping[str, str] | None = None) -> Any:
        """The document at a path. See `call`."""
        return self.call("GET", path, shape, headers=headers)

    def call(
        self,
        method: str,
        path: str,
        shape: Shape,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: dict[str, Any] | None = None,
        patience: float | None = PATIENCE,
    ) -> Any:
        """Calls and reads the answer.

        Args:
            method: The HTTP method.
            path: Below the server's address.
            shape: What the caller reads of the answer: see `fits`.
            body: Sent as JSON, if there is one.
            headers: Further fields.
            query: The query of the URL.
            patience: Seconds for the answer; None waits without end.

        Raises:
            RefusedError: The server answered with an error.
            CliError: It did not answer, or not as a dscore server does.
        """
        timeout = httpx.Timeout(PATIENCE, read=patience)
        content = None if body is None else orjson.dumps(body)
        media_type = {} if body is None else {"content-type": "application/json"}
        headers = {**media_type, **(headers or {})}
        try:
            answer = self._http.request(
                method, path, params=query, content=content, headers=headers, timeout=timeout
            )
        except httpx.HTTPError as error:
            raise CliError(self._sentence(error)) from None
        if answer.is_success:
            return _document(answer, shape, self.url)
        if answer.status_code == 401 and _detail(answer) is not None:
            raise RefusedError(self._no_power(), 401)
        raise _refused(answer, self.url)

    def _no_power(self) -> str:
        """What a server means that asks for a token, or for another one."""
        give = "give its token with --token or DSCORE_TOKEN"
        if self._left is not None:
            return (
                f"the token in {self._left.path} is not this server's (it has tokens of its own, "
                f"or is a program's: server.operator_token); {give}"
            )
        if self.token is not None:
            return f"the operator's token is wrong; {give}"
        if not self._places:
            return (
                "this needs an operator's token; give it with --token or DSCORE_TOKEN: the one "
                "that a server leaves for its user (its log says where, operator_token_left) is "
                "shown to loopback addresses only"
            )
        looked = ", ".join(map(str, self._places))
        return (
            f"this needs an operator's token, and none was found in {looked}; give it with --token "
            "or DSCORE_TOKEN, or run this as the server's user"
        )

    def _sentence(self, error: httpx.HTTPError) -> str:
        if isinstance(error, httpx.ConnectError):
            if any(map(is_plain_answer, _causes(error))):
                return f"cannot reach {self.url}: it does not speak TLS; use http://"
            if (words := untrusted(error, self.url)) is not None:
                return f"cannot reach {self.url}: {words}"
        # In TLS 1.3 a client is done with the handshake before its certificate was looked at.
        if (words := _refused_us(error, self.url)) is not None:
            return f"cannot reach {self.url}: {words}"
        if isinstance(error, httpx.ConnectError):
            return (
                f"cannot reach {self.url}: {_cause(error)}; is the server running? "
                "(--url or DSCORE_URL says where)"
            )
        if isinstance(error, httpx.TimeoutException):
            return f"{self.url} did not answer in time; try again, or look at its log"
        return f"lost the connection to {self.url}: {_cause(error)}; is the server still running?"


class RefusedError(CliError):
    """The server answered with an error; `status` is HTTP's."""

    def __init__(self, message: str, status: int, code: int = FAILED) -> None:
        super().__init__(message, code)
        self.status = status


def _left_token(parts: SplitResult) -> operator_token.TokenFile | None:
    """The token that a server on this machine has left for its user."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return operator_token.find(parts.hostname or "", port, os.environ)


def agent_path(agent_id: str, action: str = "") -> str:
    """The path of an agent. Dots are escaped too: ".." is an id like any other.

    Raises:
        CliError: it can be no agent's id.
    """
    agent_id = trimmed(agent_id)
    if not agent_id or has_control(agent_id):
        raise CliError(
            f"{agent_id!r} is no agent id: it is blank, or has control characters", USAGE
        )
    escaped = quote(agent_id, safe="").replace(".", "%2E")
    return f"/api/v1/agents/{escaped}{action}"


def untrusted(error: BaseException, url: str) -> str | None:
    """What is wrong with a server's certificate, and what to do; None: nothing, as far as known."""
    for cause in _causes(error):
        if is_unknown_authority(cause):
            assert isinstance(cause, ssl.SSLCertVerificationError)
            return (
                f"the authority of its certificate is not trusted here ({cause.verify_message}); "
                "give the authority's certificate, a PEM file, with --cacert or DSCORE_CACERT"
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return sentence(cause, urlsplit(url).hostname or "")
    return None


def _refused_us(error: BaseException, url: str) -> str | None:
    """What a server has against this side of the handshake; None: nothing, as far as known."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            host = urlsplit(url).hostname or ""
            give = "give one with --cert and --key, or DSCORE_CERT and DSCORE_KEY"
            return sentence(cause, host, own="the certificate of --cert", give=give)
    return None


def _context(cacert: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext | bool:
    """What https needs; True: what httpx takes by itself."""
    if key is not None and cert is None:
        raise CliError("--key: a key needs its certificate: give --cert too", USAGE)
    if cacert is None and cert is None:
        return True
    try:
        trusting = ssl.create_default_context
        context = httpx.create_ssl_context() if cacert is None else trusting(cafile=cacert)
    except OSError as error:  # An SSLError is one too.
        raise _unusable("--cacert", cacert, error, "it holds no certificate in PEM") from None
    if cert is not None:
        try:
            # A key with a password would be asked for on the terminal.
            context.load_cert_chain(cert, key, password=_no_password)
        except OSError as error:
            what = "it holds no certificate with its key in PEM, or the key is another's"
            raise _unusable("--cert", cert, error, what) from None
    return context


def _no_password() -> str:
    raise CliError("--key: it has a password; give one without", USAGE)


def _unusable(option: str, path: Path | None, error: OSError, what: str) -> CliError:
    words = None if isinstance(error, ssl.SSLError) else error.strerror
    return CliError(f"{option}: cannot use {path}: {words or what}", USAGE)


def _base_url(url: str) -> str:
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        httpx.URL(full)  # knows more of what a name may be
    except (ValueError, httpx.InvalidURL):
        fits = False
    if not fits:
        raise CliError(f"--url {url}: give an address such as http://127.0.0.1:8765", USAGE)
    return full.rstrip("/")


def _cause(error: httpx.HTTPError) -> str:
    """The system's own words ("connection refused"), without its error number."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    words = str(error).rstrip(".")
    if words.startswith("[Errno"):
        words = words.partition("] ")[2]
    return f"{words[:1].lower()}{words[1:]}" or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it came of."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def fits(document: Any, shape: Shape) -> bool:
    """Whether a document is of a shape: a type; one of several shapes; an object with at least
    these keys; a list of items of one shape."""
    if isinstance(shape, tuple):
        return any(fits(document, each) for each in shape)
    if isinstance(shape, Mapping):
        return isinstance(document, dict) and all(
            key in document and fits(document[key], each) for key, each in shape.items()
        )
    if isinstance(shape, list):
        return isinstance(document, list) and all(fits(item, shape[0]) for item in document)
    # JSON's true is no number.
    return isinstance(document, shape) and (not isinstance(document, bool) or shape is bool)


def _document(answer: httpx.Response, shape: Shape, url: str) -> Any:
    try:
        document = orjson.loads(answer.content)
    except ValueError:
        document = None
    if not fits(document, shape):
        raise CliError(f"{url} does not answer like a dscore server; check --url")
    return document


def _detail(answer: httpx.Response) -> str | None:
    """The sentence of a problem document (RFC 9457), if it is one."""
    try:
        detail = orjson.loads(answer.content)["detail"]
    except (ValueError, TypeError, KeyError):
        return None
    return detail if isinstance(detail, str) else None


def _refused(answer: httpx.Response, url: str) -> CliError:
    detail = _detail(answer)
    if detail is None:
        status = f"{answer.status_code} {answer.reason_phrase}".strip()
        detail = f"{url} answered {status}, not like a dscore server; check --url"
    detail = " ".join(detail.split()).rstrip(".")
    if answer.status_code == 404 and urlsplit(url).path:
        detail = f"{detail}; check --url, {url}: it needs no path"
    # What was typed has no such form: a word too long, a duration out of bounds.
    code = USAGE if answer.status_code in (400, 422) else FAILED
    return RefusedError(f"{detail[:1].lower()}{detail[1:]}", answer.status_code, code)
