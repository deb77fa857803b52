"""The C client by `wss://`: to the real server, or a scripted one where that would not start."""

import json
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from c_client import EXACT, Driver, acquainted, aside, needs_c
from certificates import Authority, Issued
from fake_server import FakeServer
from odd_files import odd_file
from serving import Serving

pytestmark = needs_c

QUICK = (
    *("instance_id=c-1", "max_reconnect_delay_sec=0.2", "reconnect_jitter_enabled=false"),
    "server_shutdown_retry_delay_sec=0.2",
)
AGO = timedelta(hours=-1)

Serve = Callable[..., Serving]
Secure = Callable[..., Serving]


@pytest.fixture
def secure(serve: Serve, authority: Authority, tmp_path: Path) -> Secure:
    """Starts the real program with a certificate: by default one of localhost that `authority`
    has issued. `clients`: whose clients alone are let in."""

    def start(
        issued: Issued | None = None,
        *,
        clients: Authority | None = None,
        env: dict[str, str] | None = None,
        **options: object,
    ) -> Serving:
        files = (issued or authority.issue("localhost")).save(tmp_path, "front")
        names = {"CERTIFICATES": files.certificate, "KEYS": files.key}
        if clients is not None:
            names["CLIENT_CA"] = clients.save(tmp_path, "clients")
            names["CLIENT_AUTH"] = Path("required")
        tls = {f"DSCORE_TLS__{name}": str(value) for name, value in names.items()}
        return serve(env=tls | (env or {}), **options)

    return start


@pytest.fixture
def trusting(authority: Authority, tmp_path: Path) -> tuple[str, ...]:
    """The setting of a client that trusts `authority`."""
    return (f"ca_file={authority.save(tmp_path)}",)


def own(issued: Issued, directory: Path) -> tuple[str, ...]:
    """The settings of a client that shows this certificate."""
    files = issued.save(directory, "own")
    return (f"cert_file={files.certificate}", f"key_file={files.key}")


def driver(build: Path, serving: Serving, *settings: str, host: str = "localhost") -> Driver:
    return Driver(build, f"url=wss://{host}:{serving.port}", *QUICK, *settings)


def test_a_life_by_tls_with_token_and_client_certificate(
    c_build: Path, secure: Secure, authority: Authority, trusting: tuple[str, ...], tmp_path: Path
) -> None:
    env = {"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "right"}
    serving = secure(clients=authority, env=env)
    identity = own(authority.client("c-1"), tmp_path)
    with driver(c_build, serving, *trusting, *identity, "token=right") as agent:
        agent.until_state("ready")
        since = len(agent.lines)
        serving.process.kill()
        serving.wait()
        agent.until("cut", lambda one: one.get("last_close_code") == 1006, since=since)
        back = secure(
            clients=authority, env=env, port=serving.port, directory=serving.log_path.parent
        )
        agent.until_state("ready", since=since)
        assert back.stop() == 0
        assert agent.until_event("exited")["code"] == 0
    assert "DeepStream client c-1 terminated gracefully" in back.log


@pytest.mark.slow
def test_a_certificate_that_names_another_agent_is_refused_until_it_is_replaced(
    c_build: Path, secure: Secure, authority: Authority, trusting: tuple[str, ...], tmp_path: Path
) -> None:
    serving = secure(clients=authority)
    identity = own(authority.client("c-2"), tmp_path)
    with driver(c_build, serving, *trusting, *identity) as agent:
        waiting = agent.until_state("waiting")
        assert (waiting["last_close_code"], waiting["retry_in"]) == (1008, 300.0)
        assert waiting["last_close_reason"] == "authentication failed"
        agent.until_error("authentication_failed")
        own(authority.client("c-1"), tmp_path)
        agent.until_state("ready")


def test_a_wrong_token_is_refused_over_tls_too(
    c_build: Path, secure: Secure, trusting: tuple[str, ...]
) -> None:
    serving = secure(env={"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "right"})
    with driver(c_build, serving, *trusting, "token=wrong") as agent:
        waiting = agent.until_state("waiting")
        assert waiting["last_close_reason"] == "authentication failed"
        assert waiting["retry_in"] == 300


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_chain_and_an_address_are_verified(
    c_build: Path, secure: Secure, authority: Authority, trusting: tuple[str, ...], host: str
) -> None:
    serving = secure(authority.intermediate().issue("localhost", "127.0.0.1", key="rsa"))
    with driver(c_build, serving, *trusting, host=host) as agent:
        assert agent.until_state("ready")["health"] == "ok"
        assert serving.request("POST", "/api/v1/agents/c-1/message", {"type": "work"})[0] == 202
        agent.until_event("message")


def test_a_server_is_known_by_its_fingerprint(
    c_build: Path, secure: Secure, authority: Authority, trusting: tuple[str, ...]
) -> None:
    """Any other is left before a token is shown: here it would be counted as a wrong one."""
    issued = authority.issue("localhost")
    env = {"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "right"}
    serving = secure(issued, env=env)
    found = issued.certificate.fingerprint(SHA256())
    other = authority.issue("localhost").certificate.fingerprint(SHA256()).hex()
    with driver(
        c_build, serving, *trusting, "token=wrong", f"server_fingerprints={other}"
    ) as agent:
        agent.until_error(f"is none of server_fingerprints, its own is {found.hex()}")
    assert "wrong_token" not in serving.log
    pins = f"server_fingerprints={other}, {found.hex(':').upper()}"
    with driver(c_build, serving, *trusting, "token=right", pins) as agent:
        agent.until_state("ready")


def test_reconnect_7_certificates_are_read_anew_before_each_attempt(
    c_build: Path, secure: Secure, authority: Authority, tmp_path: Path
) -> None:
    """Both ends': one that another authority has issued is replaced on the disk, and it gets in."""
    clients = Authority("clients")
    serving = secure(clients=clients)
    identity = own(authority.client("c-1"), tmp_path)
    ca = f"ca_file={Authority('former').save(tmp_path)}"
    with driver(c_build, serving, *identity, ca) as agent:
        agent.until_error("server_not_ready")
        authority.save(tmp_path)
        agent.until_status(lambda one: one["reconnect_attempts"] >= 3, "attempts")
        assert "ready" not in [one.get("state") for one in agent.events]
        own(clients.client("c-1"), tmp_path)
        agent.until_state("ready")


def test_the_server_s_renewed_certificate_is_taken_on_the_next_connection(
    c_build: Path, secure: Secure, authority: Authority, trusting: tuple[str, ...], tmp_path: Path
) -> None:
    serving = secure(authority.issue("fleet.example"))
    with driver(c_build, serving, *trusting) as agent:
        agent.until_error("it is of another name")
        authority.issue("localhost").save(tmp_path, "front")
        serving.process.send_signal(signal.SIGHUP)
        agent.until_state("ready")


CERTIFICATES: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"ends": AGO}, "it has expired, if the clock here is right"),
    "not yet valid": ({"begins": -AGO}, "it is not valid yet, if the clock here is right"),
    "another name": ({}, "it is of another name"),
}


@pytest.mark.parametrize("checks", ["true", "false"])
@pytest.mark.parametrize("case", CERTIFICATES)
async def test_what_is_wrong_with_the_server_s_certificate_is_said(
    c_build: Path,
    authority: Authority,
    trusting: tuple[str, ...],
    tmp_path: Path,
    case: str,
    checks: str,
) -> None:
    """By the look at the health page, and by the WebSocket where there is none."""
    dates, words = CERTIFICATES[case]
    name = "fleet.example" if case == "another name" else "localhost"
    async with FakeServer(authority.issue(name, **dates).server_context(tmp_path)) as server:
        settings = (*trusting, f"health_check_enabled={checks}", *EXACT)
        with Driver(c_build, f"url={server.url}", *settings) as agent:
            waiting = await aside(agent.until_state, "waiting")
            await aside(agent.until_error, words)
            assert (waiting["last_close_code"], waiting["retry_in"]) == (0, 1)


def test_an_authority_that_is_not_known_is_said(c_build: Path, secure: Secure) -> None:
    serving = secure()
    with driver(c_build, serving) as agent:
        agent.until_state("waiting")
        agent.until_error("no authority that is trusted here has signed it; ca_file names others")


CLIENTS = ["none", "expired", "of another authority"]


@pytest.mark.parametrize("case", CLIENTS)
def test_without_a_good_client_certificate_no_attempt_succeeds(
    c_build: Path,
    secure: Secure,
    authority: Authority,
    trusting: tuple[str, ...],
    tmp_path: Path,
    case: str,
) -> None:
    serving = secure(clients=authority)
    bad = {
        "none": (),
        "expired": own(authority.client("c-1", ends=AGO), tmp_path),
        "of another authority": own(Authority("other").client("c-1"), tmp_path),
    }[case]
    with driver(c_build, serving, *trusting, *bad) as agent:
        agent.until_error("server_not_ready")
        agent.until_status(lambda one: one["reconnect_attempts"] >= 2, "attempts")
        assert "ready" not in [one.get("state") for one in agent.events]
    assert json.loads(serving.get("/deepstream/health")[1])["connected_instances"] == []


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_file_that_holds_no_certificate_is_said_at_start(
    c_build: Path, tmp_path: Path, scheme: str
) -> None:
    """As the Python agent says it: test_agent_config."""
    nonsense, certificate = tmp_path / "nonsense.pem", tmp_path / "certificate.pem"
    nonsense.write_text("nonsense")
    certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    huge = odd_file(tmp_path, "too long")
    cases = [
        (
            (f"ca_file={nonsense}",),
            f"ca_file: cannot use {nonsense}: there is no certificate in it",
        ),
        ((f"cert_file={nonsense}",), f"cert_file: cannot use {nonsense}: there is no certificate"),
        (
            (f"cert_file={certificate}", f"key_file={nonsense}"),
            "there is no private key in it (PEM)",
        ),
        ((f"cert_file={certificate}",), "there is no private key in it: set key_file"),
        ((f"ca_file={huge}",), f"ca_file: cannot use {huge}: it has more than 8388608 bytes"),
    ]
    for settings, words in cases:
        with Driver(c_build, f"url={scheme}://localhost:1", *settings) as agent:
            assert words in agent.until_event("failed")["error"]
            assert agent.close() == 0


async def test_long_messages_pass_both_ways(
    c_build: Path, authority: Authority, trusting: tuple[str, ...], tmp_path: Path
) -> None:
    """Longer than a record of TLS has bytes."""
    async with FakeServer(authority.issue("localhost").server_context(tmp_path)) as server:
        agent, peer = await acquainted(c_build, server, *trusting)
        with agent:
            await peer.send("work", text="a" * 300_000)
            got = await aside(agent.until_event, "message")
            assert len(got["message"]["text"]) == 300_000
            assert await aside(agent.send, {"type": "work", "text": "b" * 300_000})
            assert len((await peer.recv())["text"]) == 300_000


async def test_with_an_authority_of_its_own_it_does_not_read_all_the_others(
    c_build: Path, authority: Authority, trusting: tuple[str, ...], tmp_path: Path
) -> None:
    """Those of the distribution take 8 MB of memory."""
    async with FakeServer(authority.issue("localhost").server_context(tmp_path)) as server:
        agent, _ = await acquainted(c_build, server, *trusting)
        with agent:
            assert agent.resident_bytes < 15e6


async def test_wss_at_a_plain_port_says_what_to_use(c_build: Path) -> None:
    async with FakeServer() as server:
        url = server.url.replace("ws:", "wss:")
        with Driver(c_build, f"url={url}", "health_check_enabled=false", *EXACT) as agent:
            await aside(agent.until_state, "waiting")
            await aside(agent.until_error, "does not speak TLS; use ws://")
