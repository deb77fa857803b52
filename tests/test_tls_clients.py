"""Client certificates, session tickets and other people's TLS, against the real server."""

import json
import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from certificates import Authority, Files
from serving import Serving
from tls_clients import RECORD_LAYERS, agent, ask, dial, get, layered, metric, read_all, s_client
from waiting import wait_until

Serve = Callable[..., Serving]
READY = '{"type":"app_ready","instance_id":"%s"}'


@pytest.fixture
def options(tls_files: Files) -> tuple[str, ...]:
    return ("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))


def counts(serving: Serving, name: str, least: float = 1) -> None:
    """Waits until a figure is at least so much."""
    wait_until(lambda: metric(serving, name) >= least, f"{name} of at least {least}")


def env_of(authority: Authority, directory: Path, auth: str = "required") -> dict[str, str]:
    return {
        "DSCORE_TLS__CLIENT_CA": str(authority.save(directory, "clients")),
        "DSCORE_TLS__CLIENT_AUTH": auth,
    }


def is_let_in(port: int, context: ssl.SSLContext) -> bool:
    """Whether a request is answered: with TLS 1.3 a client hears late that its certificate is not
    good."""
    try:
        with dial(port, context) as tls:
            return get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
    except (ssl.SSLError, ConnectionError):
        return False


def shown_in_audit(serving: Serving, context: ssl.SSLContext) -> object:
    """What the audit tells of the certificate of an operator who has done something."""
    bearer = f"Authorization: {serving.power['authorization']}\r\n"
    with dial(serving.port, context) as tls:
        tls.sendall(
            f"POST /api/v1/maintenance HTTP/1.1\r\nHost: localhost\r\n{bearer}"
            "Content-Type: application/json\r\nContent-Length: 18\r\nConnection: close\r\n\r\n"
            '{"enabled": false}'.encode()
        )
        assert read_all(tls).startswith(b"HTTP/1.1 200 ")
    with dial(serving.port, context) as tls:
        tls.sendall(
            f"GET /api/v1/audit?limit=1 HTTP/1.1\r\nHost: localhost\r\n{bearer}"
            "Connection: close\r\n\r\n".encode()
        )
        (kept,) = json.loads(read_all(tls).partition(b"\r\n\r\n")[2])["items"]
    assert serving.wait_for_log("operator_action")["certificate_names"] == kept["certificate_names"]
    return kept["certificate_names"]


async def test_an_agent_must_be_named_in_its_certificate_where_one_is_required(
    serve: Serve, options: tuple[str, ...], authority: Authority, tmp_path: Path
) -> None:
    serving = serve(*options, env=env_of(authority, tmp_path))
    mine = authority.client("cam-1", "spiffe://fleet/cam-1", common_name="cam 1").save(
        tmp_path, "mine"
    )
    context = authority.client_context(mine)
    for own in ("cam-1", "spiffe://fleet/cam-1", "cam 1"):
        async with agent(serving, serving.port, context) as websocket:
            assert json.loads(await ask(websocket, READY % own))["type"] == "app_ready_ack"
    async with agent(serving, serving.port, context) as websocket:
        await websocket.send(READY % "cam-2")
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "authentication failed")
    line = serving.wait_for_log("introduction_refused")
    assert line["reason"] == "its certificate does not name this agent"
    assert line["certificate_names"] == ["cam-1", "spiffe://fleet/cam-1", "cam 1"]
    assert shown_in_audit(serving, context) == line["certificate_names"]
    assert not is_let_in(serving.port, authority.client_context())
    counts(serving, 'dscore_tls_refused_total{reason="certificate"}')


async def test_agents_are_judged_by_the_settings_that_are_in_force_after_a_reload_that_failed(
    serve: Serve, tls_files: Files, authority: Authority, tmp_path: Path
) -> None:
    settings = tmp_path / "dscore.toml"

    def write(certificate: object, client_auth: str) -> None:
        clients = authority.save(tmp_path, "clients")
        settings.write_text(
            f'[tls]\ncertificates = ["{certificate}"]\nkeys = ["{tls_files.key}"]\n'
            f'client_ca = "{clients}"\nclient_auth = "{client_auth}"\n'
        )

    write(tls_files.certificate, "required")
    serving = serve("--config", str(settings))
    mine = authority.client("cam-1").save(tmp_path, "mine")
    write(tmp_path / "missing.pem", "none")
    serving.process.send_signal(signal.SIGHUP)
    serving.wait_for_log("tls_reload_failed")
    assert not any("tls" in name for name in serving.wait_for_log("config_reloaded")["applied"])
    async with agent(serving, serving.port, authority.client_context(mine)) as websocket:
        await websocket.send(READY % "cam-2")
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def test_certificates_of_another_authority_and_revoked_ones_are_refused(
    serve: Serve, options: tuple[str, ...], authority: Authority, tmp_path: Path
) -> None:
    good, revoked = authority.client("good"), authority.client("revoked")
    crl = tmp_path / "revoked.crl"
    crl.write_bytes(authority.crl())
    env = env_of(authority, tmp_path) | {"DSCORE_TLS__CLIENT_CRL": str(crl)}
    serving = serve(*options, env=env)
    other = Authority("another").client("good").save(tmp_path, "other")
    contexts = {
        "good": authority.client_context(good.save(tmp_path, "good")),
        "revoked": authority.client_context(revoked.save(tmp_path, "revoked")),
        "other": authority.client_context(other),
    }

    def let_in() -> dict[str, bool]:
        return {name: is_let_in(serving.port, context) for name, context in contexts.items()}

    assert let_in() == {"good": True, "revoked": True, "other": False}
    # One that has a ticket is judged again when it is used.
    with dial(serving.port, contexts["revoked"]) as tls:
        assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        session = tls.session
    assert session is not None
    assert session.has_ticket
    crl.write_bytes(authority.crl([revoked]))
    serving.process.send_signal(signal.SIGHUP)
    serving.wait_for_log("tls_reloaded")
    expected = {"good": True, "revoked": False, "other": False}
    wait_until(lambda: let_in() == expected, "the new list in force")

    def resumes() -> bool:
        try:
            with dial(serving.port, contexts["revoked"], session=session) as tls:
                return bool(get(tls, "/readyz"))
        except (ssl.SSLError, ConnectionError):
            return False

    def revocations() -> int:
        lines = serving.log_lines()
        return sum(line.get("cause") == "revoked" for line in lines)

    before = wait_until(revocations, "the lines of the full handshakes")
    assert not resumes()
    wait_until(lambda: revocations() > before, "the line of the resumed one")


def test_an_optional_certificate_may_be_left_out(
    serve: Serve, options: tuple[str, ...], authority: Authority, tmp_path: Path
) -> None:
    serving = serve(*options, env=env_of(authority, tmp_path, "optional"))
    other = Authority("another").client("x").save(tmp_path, "other")
    mine = authority.client("x").save(tmp_path, "mine")
    assert is_let_in(serving.port, authority.client_context())
    assert is_let_in(serving.port, authority.client_context(mine))
    assert not is_let_in(serving.port, authority.client_context(other))


@pytest.mark.parametrize("record_layer", RECORD_LAYERS)
def test_a_restart_keeps_resumption_with_a_file_of_keys(
    serve: Serve,
    options: tuple[str, ...],
    authority: Authority,
    tmp_path: Path,
    record_layer: str,
) -> None:
    keys = tmp_path / "tickets.keys"
    command = ["openssl", "rand", "-base64", "32"]
    keys.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    env = {"DSCORE_TLS__TICKET_KEYS": str(keys), **layered(record_layer)}
    context = authority.client_context()
    first = serve(*options, env=env)
    with dial(first.port, context) as tls:
        get(tls, "/readyz")
        session = tls.session
    first.stop()
    second = serve(*options, env=env)
    with dial(second.port, context, session=session) as tls:
        assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        assert tls.session_reused
    counts(second, "dscore_tls_handshakes_resumed_total")
    # Rotated: the new key seals, the old one opens still.
    fresh = subprocess.run(command, capture_output=True, check=True).stdout
    keys.write_bytes(fresh + keys.read_bytes())
    second.process.send_signal(signal.SIGHUP)
    second.wait_for_log("tls_reloaded")
    with dial(second.port, context, session=session) as tls:
        assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        assert tls.session_reused
        renewed = tls.session
    second.stop()
    # Without the old key: what the new one has sealed is opened, what the old one had is not.
    keys.write_bytes(fresh)
    third = serve(*options, env=env)
    with dial(third.port, context, session=renewed) as tls:
        assert tls.session_reused
    with dial(third.port, context, session=session) as tls:
        assert not tls.session_reused


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("-tls1_3",), "TLSv1.3"),
        (("-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), "TLS_CHACHA20_POLY1305_SHA256"),
        (("-ciphersuites", "TLS_AES_128_GCM_SHA256"), "TLS_AES_128_GCM_SHA256"),
        (("-groups", "P-256"), "TLSv1.3"),
        (("-groups", "X25519"), "TLSv1.3"),
        (("-alpn", "h2,http/1.1"), "ALPN protocol: http/1.1"),
        (("-alpn", "h2"), "alert no application protocol"),
        (("-tls1_2",), "alert protocol version"),
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "SSL alert number"),
        (("-groups", "ffdhe2048"), "alert handshake failure"),
    ],
)
def test_openssl_gets_the_versions_and_ciphers_that_are_spoken(
    versions: tuple[Serving, str], words: tuple[str, ...], expected: str
) -> None:
    serving, ca = versions
    assert expected in s_client(serving.port, "-brief", *words, ca=ca) or expected in s_client(
        serving.port, *words, ca=ca
    )


@pytest.fixture(scope="module", params=RECORD_LAYERS)
def versions(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> "object":
    directory = tmp_path_factory.mktemp("versions")
    files = authority.issue("localhost", "127.0.0.1").save(directory)
    words = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    with Serving(*words, directory=directory, env=layered(request.param)) as serving:
        yield serving.wait_until_ready(), str(authority.save(directory))


def test_keys_are_renewed_both_ways(versions: tuple[Serving, str]) -> None:
    serving, ca = versions
    # s_client takes k (renew its own keys) and K (both) for a command where it reads nothing else.
    words = ["-connect", f"127.0.0.1:{serving.port}", "-CAfile", ca, "-msg"]
    with subprocess.Popen(
        ["openssl", "s_client", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            for command in (b"k\n", b"K\n"):
                client.stdin.write(command)
                client.stdin.flush()
                while (line := client.stdout.readline()) != b"KEYUPDATE\n":
                    assert line, "no KEYUPDATE"
            client.stdin.write(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            client.stdin.flush()
            said = client.stdout.read()
        finally:
            client.kill()
    renewed = b"TLS 1.3, Handshake [length 0005], KeyUpdate"
    # RFC 8446 §4.6.3: the server's own comes before the next thing that it says.
    assert said.count(b">>> " + renewed) >= 1
    assert said.count(b"<<< " + renewed) == 1
    assert b"HTTP/1.1 200" in said
    assert metric(serving, "dscore_tls_records_invalid_total") == 0


def test_node_speaks_to_it(versions: tuple[Serving, str]) -> None:
    if shutil.which("node") is None:
        pytest.skip("no Node.js: make setup-clients needs it too")
    serving, ca = versions
    script = f"""
        const socket = new WebSocket("wss://localhost:{serving.port}/deepstream/ws");
        socket.onopen = () => socket.send('{{"type":"app_ready","instance_id":"node"}}');
        socket.onmessage = (event) => {{ console.log(event.data); socket.close(1000); }};
        socket.onclose = (event) => console.log(event.code);
        socket.onerror = (event) => console.log(event.message ?? event.error);
    """
    environment = {"NODE_EXTRA_CA_CERTS": ca, "PATH": "/usr/bin:/usr/local/bin:/bin"}
    node = subprocess.run(
        [str(shutil.which("node")), "-e", f"if (globalThis.WebSocket) {{ {script} }}"],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if not node.stdout and not node.stderr:
        pytest.skip("this Node.js has no WebSocket of its own")
    assert b"app_ready_ack" in node.stdout, node.stdout + node.stderr
    assert node.stdout.rstrip().endswith(b"1000")
