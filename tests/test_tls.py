"""TLS in the real server: who gets in, with what, and how it ends."""

import asyncio
import json
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from certificates import Authority, Files
from serving import Serving
from tls_clients import (
    RECORD_LAYERS,
    agent,
    ask,
    dial,
    get,
    layered,
    metric,
    read_all,
    upgrade,
)
from waiting import wait_until

Serve = Callable[..., Serving]

READY = '{"type":"app_ready","instance_id":"%s"}'
BEAT = '{"type":"heartbeat","clientName":"%s"}'


@pytest.fixture(params=RECORD_LAYERS)
def secure(serve: Serve, tls_files: Files, request: pytest.FixtureRequest) -> Serving:
    """A server that speaks TLS and plain HTTP on one port."""
    words = ("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))
    return serve(*words, env=layered(request.param))


def counts(serving: Serving, name: str, least: float = 1) -> None:
    """Waits until a figure is at least so much."""
    wait_until(lambda: metric(serving, name) >= least, f"{name} of at least {least}")


def test_one_port_speaks_both(secure: Serving, authority: Authority) -> None:
    assert secure.get("/readyz")[0] == 200
    context = authority.client_context()
    for path in ("/deepstream/health", "/readyz", "/metrics", "/", "/api/v1/agents"):
        with dial(secure.port, context) as tls:
            assert get(tls, path).startswith(b"HTTP/1.1 200 "), path
    line = secure.wait_for_log("serving")
    assert line["tls_agents"] == f"wss://127.0.0.1:{secure.port}/deepstream/ws"
    counts(secure, "dscore_tls_handshakes_total", 5)


def test_browsers_are_asked_for_https_for_as_long_as_is_set(
    serve: Serve, tls_files: Files, authority: Authority, tmp_path: Path
) -> None:
    settings = tmp_path / "dscore.toml"
    base = f'[tls]\ncertificates = ["{tls_files.certificate}"]\nkeys = ["{tls_files.key}"]\n'
    settings.write_text(base)
    serving = serve("--config", str(settings))
    context = authority.client_context()

    def said(path: str, name: bytes) -> list[bytes]:
        with dial(serving.port, context) as tls:
            head = get(tls, path).partition(b"\r\n\r\n")[0].lower()
        found = [line for line in head.split(b"\r\n") if line.startswith(name)]
        return [line.partition(b": ")[2] for line in found]

    def promised(path: str = "/livez") -> bytes | None:
        found = said(path, b"strict-transport-security")
        assert len(found) < 2
        return found[0] if found else None

    # Of pages, of what there is none of, and of what the core answers by itself.
    for path in ("/livez", "/none", "/deepstream/ws", "/socket.io/?transport=other", "/a b"):
        assert promised(path) == b"max-age=86400", path
        assert said(path, b"x-content-type-options") == [b"nosniff"], path
        assert len(said(path, b"date")) == 1, path
    for seconds in ("0", "31536000"):
        settings.write_text(f'{base}hsts = "{seconds}s"\n')
        serving.process.send_signal(signal.SIGHUP)
        expected = b"max-age=" + seconds.encode()
        wait_until(lambda due=expected: promised() == due, "the new promise")
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as plain:
        plain.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b"strict-transport" not in plain.recv(4096).lower()


async def test_agents_beat_and_are_terminated_over_tls(
    secure: Serving, authority: Authority
) -> None:
    context = authority.client_context()
    async with agent(secure, secure.port, context) as websocket:
        assert json.loads(await ask(websocket, READY % "cam-1"))["type"] == "app_ready_ack"
        for _ in range(3):
            assert json.loads(await ask(websocket, BEAT % "cam-1"))["status"] == "ok"
        secure.process.send_signal(signal.SIGTERM)
        order = json.loads(await asyncio.wait_for(websocket.recv(), 30))
        assert order["type"] == "terminate_app"
        answer = {"type": "app_terminated", "status": "OK", "message": ""}
        await websocket.send(json.dumps({**answer, "request_id": order["request_id"]}))
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(websocket.recv(), 30)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "Client terminated")
    assert secure.wait() == 0


async def test_a_drain_over_tls_closes_1001_and_turns_new_ones_away_1013(
    serve: Serve, tls_files: Files, authority: Authority
) -> None:
    options = ("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))
    serving = serve(*options, env={"DSCORE_SHUTDOWN__TIMEOUT": "3s"})
    context = authority.client_context()
    async with agent(serving, serving.port, context) as mute:
        await ask(mute, READY % "mute")
        serving.process.send_signal(signal.SIGTERM)
        assert json.loads(await asyncio.wait_for(mute.recv(), 30))["type"] == "terminate_app"
        async with agent(serving, serving.port, context) as late:
            with pytest.raises(ConnectionClosed) as turned_away:
                await asyncio.wait_for(late.recv(), 30)
            assert turned_away.value.rcvd is not None
            assert turned_away.value.rcvd.code == 1013
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(mute.recv(), 30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert serving.wait() == 3


def test_large_messages_go_both_ways_in_any_pieces(secure: Serving, authority: Authority) -> None:
    with dial(secure.port, authority.client_context()) as tls:
        body = json.dumps({"x": "y" * 40_000}).encode()
        head = (
            "POST /api/v1/agents/none/message HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {secure.power['authorization']}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        whole = head + body
        for at in range(0, len(whole), 1_000):
            tls.sendall(whole[at : at + 1_000])
        answer = read_all(tls)
    assert answer.split(b" ", 2)[1] in (b"404", b"422"), answer[:200]
    with dial(secure.port, authority.client_context()) as tls:
        page = get(tls, "/api/v1/openapi.json")
    assert len(page) > 20_000
    assert json.loads(page.partition(b"\r\n\r\n")[2])["openapi"]


def shake_hands(tls: ssl.SSLObject, step: Callable[[], None]) -> None:
    """A handshake in memory; `step` moves what is to go and what comes."""
    while True:
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            return
        step()


def test_what_is_said_with_the_end_of_the_handshake_is_heard(
    secure: Serving, authority: Authority
) -> None:
    # The request, and the end of all requests, in the packets of the client's last flight.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = authority.client_context()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as plain:

        def step() -> None:
            plain.sendall(outgoing.read())
            received = plain.recv(65_536)
            assert received
            incoming.write(received)

        shake_hands(tls, step)
        tls.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        answer = b""
        while b"\r\n\r\n" not in answer:
            step()
            with suppress(ssl.SSLWantReadError):
                answer += tls.read()
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_an_end_is_said_in_tls_and_one_that_is_not_is_counted(
    secure: Serving, authority: Authority
) -> None:
    context = authority.client_context()
    with dial(secure.port, context) as tls:
        assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        # Python would raise where the server ended without a close_notify.
        assert tls.recv(100) == b""
    with dial(secure.port, context) as tls:
        upgrade(tls)
        assert metric(secure, "dscore_tls_connections") >= 1
        tls.unwrap().close()
    with dial(secure.port, context) as tls:
        upgrade(tls)
        tls.shutdown(socket.SHUT_RDWR)
    counts(secure, "dscore_tls_truncated_total")
    wait_until(lambda: metric(secure, "dscore_tls_connections") == 0, "no connection left")
    assert metric(secure, "dscore_tls_truncated_total") == 1


def test_a_record_that_was_touched_ends_its_connection_alone(
    secure: Serving, authority: Authority
) -> None:
    context = authority.client_context()
    with dial(secure.port, context) as good, dial(secure.port, context) as bad:
        upgrade(good)
        upgrade(bad)
        socket.socket.sendall(bad, b"\x17\x03\x03\x00\x20" + b"\0" * 32)
        with pytest.raises((ssl.SSLError, ConnectionError), match=r"(?i)alert|reset"):
            bad.recv(1000)
        counts(secure, "dscore_tls_records_invalid_total")
        beat = (BEAT % "good").encode()
        good.sendall(bytes([0x81, 0x80 | len(beat), 0, 0, 0, 0]) + beat)
        assert b"heartbeat_response" in good.recv(4096)


@pytest.fixture
def alone(serve: Serve, tls_files: Files) -> tuple[Serving, int]:
    """A server with a port for TLS alone, and that port."""
    env = {"DSCORE_TLS__PORT": "0"}
    serving = serve(
        "--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key), env=env
    )
    return serving, int(serving.wait_for_log("server_started")["tls_port"])


def test_plain_http_on_the_port_of_tls_is_told_so(alone: tuple[Serving, int]) -> None:
    serving, port = alone
    assert port != serving.port
    for said, expected in [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"this port speaks TLS"),
        (b"\x00\x01\x02", b""),
    ]:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            plain.sendall(said)
            answer = b""
            while part := plain.recv(4096):
                answer += part
            assert expected in answer
    counts(serving, 'dscore_tls_refused_total{reason="plaintext"}', 2)
    line = serving.wait_for_log("tls_refused")
    assert (line["ip"], line["reason"], line["cause"]) == ("127.0.0.1", "plaintext", "plaintext")


def test_slow_handshakes_end_in_time_and_delay_none(
    serve: Serve, tls_files: Files, authority: Authority
) -> None:
    env = {
        "DSCORE_TLS__PORT": "0",
        "DSCORE_LIMITS__HANDSHAKE_TIMEOUT": "2s",
    }
    serving = serve(
        "--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key), env=env
    )
    port = int(serving.wait_for_log("server_started")["tls_port"])
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(3)]
    try:
        slow[1].sendall(hello[:1])
        slow[2].sendall(hello)
        with dial(port, authority.client_context()) as tls:
            assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        for one in slow:
            assert one.recv(100) == b""
    finally:
        for one in slow:
            one.close()
    counts(serving, 'dscore_tls_refused_total{reason="timeout"}', 3)
    line = serving.wait_for_log("tls_refused")
    assert (line["reason"], line["cause"]) == ("timeout", "no_hello")


def test_silent_connections_in_every_place_keep_none_out(
    serve: Serve, tls_files: Files, authority: Authority
) -> None:
    env = {"DSCORE_TLS__PORT": "0", "DSCORE_TLS__HANDSHAKES": "20"}
    serving = serve(
        "--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key), env=env
    )
    port = int(serving.wait_for_log("server_started")["tls_port"])
    silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(50)]
    try:
        with dial(port, authority.client_context()) as tls:
            assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        assert 0 < metric(serving, "dscore_tls_handshakes_running") <= 20
        counts(serving, 'dscore_tls_refused_total{reason="crowded"}', 20)
        line = serving.wait_for_log("tls_refused")
        assert (line["reason"], line["cause"]) == ("crowded", "no_hello")
    finally:
        for one in silent:
            one.close()


def test_handshakes_keep_the_pace_and_all_get_through(
    serve: Serve, tls_files: Files, authority: Authority
) -> None:
    options = ("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))
    serving = serve(*options, env={"DSCORE_LIMITS__ACCEPT_RATE": "5"})
    context = authority.client_context()
    began = time.monotonic()
    connections = [
        socket.create_connection(("127.0.0.1", serving.port), timeout=60) for _ in range(12)
    ]
    ends = []
    for plain in connections:
        plain.setblocking(False)
        tls = context.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False)
        # The first of them may be through at once.
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        ends.append(tls)
    # Requests without TLS are not paced.
    assert serving.get("/readyz")[0] == 200
    try:
        for tls in ends:
            tls.settimeout(60)
            tls.do_handshake()
            assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        # A second's worth may have been saved up; the others have a turn each.
        assert time.monotonic() - began >= (12 - 5 - 1) / 5 - 0.05
    finally:
        for tls in ends:
            tls.close()


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_every_kind_of_key_is_taken(
    serve: Serve, authority: Authority, tmp_path: Path, kind: str
) -> None:
    files = authority.intermediate().issue("localhost", key=kind).save(tmp_path)
    serving = serve("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    with dial(serving.port, authority.client_context()) as tls:
        assert tls.version() == "TLSv1.3"


def test_a_client_gets_the_certificate_of_the_name_it_asks_for(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    names = (("first.example",), ("*.fleet.example", "fleet.example"), ("a.fleet.example",))
    files = [authority.issue(*own).save(tmp_path, own[0].strip("*.")) for own in names]
    words: list[str] = []
    for one in files:
        words += ["--tls-cert", str(one.certificate), "--tls-key", str(one.key)]
    serving = serve(*words)
    context = authority.client_context()
    context.check_hostname = False
    for asked, expected in [
        ("first.example", names[0]),
        ("fleet.example", names[1]),
        ("b.fleet.example", names[1]),
        ("A.FLEET.example", names[2]),
        ("x.b.fleet.example", names[0]),
        ("unknown.example", names[0]),
        (None, names[0]),
    ]:
        with dial(serving.port, context, asked) as tls:  # type: ignore[arg-type]
            shown = (tls.getpeercert() or {})["subjectAltName"]
        assert tuple(name for _, name in shown) == expected, asked


def test_sighup_renews_certificates_and_keeps_connections_and_the_old_where_one_is_not_fit(
    secure: Serving, authority: Authority, tls_files: Files, tmp_path: Path
) -> None:
    context = authority.client_context()
    expiry = (
        f'dscore_tls_certificate_expiry_timestamp_seconds{{certificate="{tls_files.certificate}"}}'
    )

    def serial() -> object:
        with dial(secure.port, context) as tls:
            return (tls.getpeercert() or {})["serialNumber"]

    first, first_end = serial(), metric(secure, expiry)
    with dial(secure.port, context) as lasting:
        upgrade(lasting)
        renewed = authority.issue("localhost", ends=timedelta(days=50))
        renewed.save(tmp_path)
        secure.process.send_signal(signal.SIGHUP)
        wait_until(lambda: serial() != first, "the new certificate")
        assert metric(secure, expiry) > first_end
        second = serial()
        # A key that does not fit.
        authority.issue("other.example").save(tmp_path, "other")
        tls_files.key.write_bytes((tmp_path / "other.key").read_bytes())
        secure.process.send_signal(signal.SIGHUP)
        line = secure.wait_for_log("tls_reload_failed")
        assert "is not the key of the first certificate" in line["reason"]
        counts(secure, "dscore_tls_reload_failures_total")
        assert serial() == second
        beat = (BEAT % "lasting").encode()
        lasting.sendall(bytes([0x81, 0x80 | len(beat), 0, 0, 0, 0]) + beat)
        assert b"heartbeat_response" in lasting.recv(4096)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda ca, d: ca.issue("a").save(d).key.write_bytes(b""), "holds no private key"),
        (lambda ca, d: (d / "server.pem").write_text("no PEM"), "holds no certificate"),
        (lambda ca, d: (d / "server.pem").unlink(), "cannot be read"),
        (
            lambda ca, d: (d / "server.key").write_bytes(ca.issue("b").key_pem),
            "is not the key of the first certificate",
        ),
        (lambda ca, d: ca.issue("a", ends=timedelta(hours=-1)).save(d), "has expired"),
        (lambda ca, d: ca.issue("a", begins=timedelta(days=1)).save(d), "is not valid before"),
        (
            lambda ca, d: (d / "server.pem").write_bytes(
                (d / "server.pem").read_bytes() + Authority("other").certificate_pem
            ),
            "is not signed by the one behind it",
        ),
    ],
)
def test_files_that_are_not_fit_are_named_at_the_start(
    serve: Serve,
    authority: Authority,
    tmp_path: Path,
    spoil: Callable[[Authority, Path], object],
    expected: str,
) -> None:
    files = authority.issue("localhost").save(tmp_path)
    spoil(authority, tmp_path)
    words = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    serving = serve(*words, ready=False)
    assert serving.wait(60) == 2
    assert expected in serving.log
    assert str(tmp_path) in serving.log


def test_the_commands_of_the_document_make_what_the_server_takes(
    serve: Serve, tmp_path: Path
) -> None:
    text = (Path(__file__).parent.parent / "docs" / "tls.md").read_text(encoding="utf-8")
    commands = text.split("```sh\n")[1].split("```")[0]
    run = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    serving = serve("--tls-cert", "server.pem", "--tls-key", "server.key", directory=tmp_path)
    url = f"https://localhost:{serving.port}/deepstream/health"
    curl = ["curl", "-sS", "--cacert", str(tmp_path / "ca.pem"), url]
    answer = subprocess.run(curl, capture_output=True, timeout=60, check=False)
    assert json.loads(answer.stdout)["status"] == "ok", answer.stderr


def test_beyond_loopback_tokens_and_tls_are_asked_for(serve: Serve, tls_files: Files) -> None:
    tls = {
        "DSCORE_TLS__CERTIFICATES": str(tls_files.certificate),
        "DSCORE_TLS__KEYS": str(tls_files.key),
    }
    tokens = {"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "t"}
    waived = {"DSCORE_TLS__REQUIRED": "false"}
    proxied = {"DSCORE_LISTEN__TRUSTED_PROXIES": "10.0.0.1"}
    for env, lacks in [
        ({}, "without tokens and TLS"),
        (tls, "without tokens:"),
        (tokens, "without TLS:"),
        (waived, "without tokens:"),
        (proxied, "without tokens:"),
    ]:
        serving = serve(host="0.0.0.0", env=env, ready=False)
        assert serving.wait(60) == 2
        assert f"refusing to listen on 0.0.0.0 {lacks}" in serving.log
    for env, words in [
        (tls | tokens, ()),
        (tokens | waived, ()),
        (tokens | proxied, ()),
        ({}, ("--insecure",)),
    ]:
        serving = serve(*words, host="0.0.0.0", env=env)
        assert serving.get("/readyz")[0] == 200


def test_with_a_port_for_tls_alone_plain_http_is_for_this_machine(
    serve: Serve, tls_files: Files
) -> None:
    env = {"DSCORE_TLS__PORT": "0", "DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "t"}
    words = ("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))
    serving = serve(*words, host="0.0.0.0", env=env)
    line = serving.wait_for_log("server_started")
    assert line["host"] == "127.0.0.1"
    assert serving.wait_for_log("serving")["tls_url"] == f"https://0.0.0.0:{line['tls_port']}"
