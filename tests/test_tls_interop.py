"""Other people's TLS against the real server, each with 40 KB at once: Python, GnuTLS, Node.js, Go,
Chromium and curl. `openssl s_client` is in `test_tls_clients`.

What a client may speak is asked as testssl.sh asks it: a ClientHello by hand for each version,
cipher and group.
"""

import json
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import CHROMIUM, DRIVER, Browser
from certificates import Authority, Issued
from serving import Serving
from socketio_clients import INSTALLED
from tls_clients import RECORD_LAYERS, agent, ask, layered, metric
from waiting import wait_until

HERE = Path(__file__).parent
BEAT = ["app_ready_ack", "heartbeat_response"]
SECONDS = 120.0
"""That a client may take, with whatever it has to compile."""


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue("localhost", "127.0.0.1")


@pytest.fixture(scope="module", params=RECORD_LAYERS)
def serving(
    issued: Issued, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("interop")
    files = issued.save(directory)
    words = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    with Serving(*words, directory=directory, env=layered(request.param)) as one:
        yield one.wait_until_ready()


@pytest.fixture(scope="module")
def ca(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority.save(tmp_path_factory.mktemp("ca"))


def report(*command: str | Path) -> dict[str, object]:
    """What a client says of itself: the last line that it writes."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, timeout=SECONDS, check=False)
    if done.returncode == 77:
        pytest.skip("it has no TLS here")
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


async def test_python(serving: Serving, authority: Authority) -> None:
    async with agent(serving, serving.port, authority.client_context()) as websocket:
        ready = await ask(websocket, '{"type":"app_ready","instance_id":"python"}')
        await websocket.send(json.dumps({"type": "note", "text": "x" * 40_000}))
        beat = await ask(websocket, '{"type":"heartbeat","clientName":"python"}')
        assert [json.loads(said)["type"] for said in (ready, beat)] == BEAT


def test_gnutls(serving: Serving, ca: Path) -> None:
    pytest.importorskip("gi", reason="no gi: make setup-gst", exc_type=ImportError)
    said = report(sys.executable, HERE / "fixtures" / "tls_client_gio.py", str(serving.port), ca)
    assert said == {"first": ["200", "tls-1-3", "http/1.1"], "messages": [101, *BEAT]}


def test_node_and_ws(serving: Serving, ca: Path) -> None:
    if shutil.which("node") is None or not INSTALLED:
        pytest.skip("no Node.js with its packages: make setup-clients")
    said = report("node", HERE / "clients" / "tls.mjs", str(serving.port), ca)
    aes, chacha = "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"

    def answered(protocol: object, cipher: str, *, resumed: bool) -> dict[str, object]:
        return {"status": "200", "ended": True, "spoken": ["TLSv1.3", protocol, cipher, resumed]}

    assert said == {
        "first": answered("http/1.1", aes, resumed=False),
        "again": answered(False, aes, resumed=True),
        "chacha": answered(False, chacha, resumed=False),
        "old": {"code": "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"},
        # It offers permessage-deflate, and goes without.
        "messages": ["", *BEAT, 1000],
    }


@pytest.mark.slow
def test_go(serving: Serving, ca: Path, tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go")
    program = tmp_path / "tls_client"
    source = HERE / "fixtures" / "tls_client.go"
    built = subprocess.run(
        [go, "build", "-o", str(program), str(source)], capture_output=True, check=False
    )
    assert built.returncode == 0, built.stderr.decode()
    assert report(program, str(serving.port), ca) == {
        "first": ["200", "TLS 1.3", "http/1.1", False],
        "again": ["200", "TLS 1.3", "http/1.1", True],
        "old": "remote error: tls: protocol version not supported",
        "messages": [101, *BEAT],
    }


SPEAK = """
return new Promise((resolve, reject) => {
  const said = [];
  const socket = new WebSocket(`wss://${location.host}/deepstream/ws`);
  socket.onopen = () => {
    socket.send('{"type":"app_ready","instance_id":"chromium"}');
    socket.send(JSON.stringify({ type: "note", text: "x".repeat(40_000) }));
    socket.send('{"type":"heartbeat","clientName":"chromium"}');
  };
  socket.onmessage = ({ data }) => {
    said.push(JSON.parse(data).type);
    if (said.length === 2) socket.close(1000);
  };
  socket.onclose = ({ code, wasClean }) => resolve([...said, code, wasClean]);
});
"""


@pytest.mark.slow
def test_chromium(serving: Serving, issued: Issued, tmp_path: Path) -> None:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium: make setup-browser")
    browser = Browser(tmp_path, trusted=issued)
    try:
        browser.open(f"https://localhost:{serving.port}/")
        assert browser.run("return window.isSecureContext && location.protocol") == "https:"
        protocol = "return performance.getEntriesByType('navigation')[0].nextHopProtocol"
        assert browser.run(protocol) == "http/1.1"
        assert browser.run(SPEAK) == [*BEAT, 1000, True]
    finally:
        browser.close()


def test_curl(serving: Serving, ca: Path, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl")
    url = f"https://localhost:{serving.port}"
    big = tmp_path / "big.json"
    big.write_text(json.dumps({"x": "y" * 40_000}))

    def run(*words: str) -> "subprocess.CompletedProcess[bytes]":
        command = [curl, "-sS", "--http2", "--noproxy", "*", "--cacert", str(ca), *words]
        return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)

    # Two requests on one connection; HTTP/2 is offered, and HTTP/1.1 is chosen.
    told = "%{http_version} %{http_code} %{num_connects}\n"
    twice = run("-w", told, "-o", "/dev/null", "-o", "/dev/null", f"{url}/readyz", f"{url}/livez")
    assert twice.stdout.splitlines() == [b"1.1 200 1", b"1.1 200 0"], twice
    bearer = f"Authorization: {serving.power['authorization']}"
    posted = run(
        *("-H", bearer, "-H", "Content-Type: application/json", "--data-binary", f"@{big}"),
        *("-w", "%{http_code}", "-o", "/dev/null", f"{url}/api/v1/agents/none/message"),
    )
    assert posted.stdout in (b"404", b"422"), posted
    page = run(f"{url}/api/v1/openapi.json")
    assert json.loads(page.stdout)["openapi"]
    before = metric(serving, 'dscore_tls_refused_total{reason="version"}')
    old = run("--tlsv1.2", "--tls-max", "1.2", f"{url}/readyz")
    assert (old.returncode, b"alert protocol version" in old.stderr) == (35, True), old
    _wait_for_more(serving, 'dscore_tls_refused_total{reason="version"}', before)


def _wait_for_more(serving: Serving, name: str, before: float) -> None:
    wait_until(lambda: metric(serving, name) > before, f"{name} above {before}")


# RFC 8446 §4: what a ClientHello is made of, and what answers it.
ALERT, HANDSHAKE = 21, 22
HANDSHAKE_FAILURE, PROTOCOL_VERSION = 40, 70
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
X25519, P256 = 0x001D, 0x0017
CIPHERS = (0x1301, 0x1302, 0x1303)
EVERY_GROUP = (0x0017, 0x0018, 0x0019, 0x001D, 0x001E, 0x0100, 0x0101, 0x0102, 0x0103, 0x0104)
EVERY_CIPHER = (*range(0x1301, 0x1306), 0xC0B4, 0xC0B5)
OLD_CIPHERS = (0x0005, 0x000A, 0x002F, 0x0035, 0x009C, 0xC009, 0xC02B, 0xC02F, 0xC030, 0xCCA8)


def _block(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _list(values: tuple[int, ...], size: int = 2) -> bytes:
    return _block(size, b"".join(value.to_bytes(2, "big") for value in values))


def client_hello(
    ciphers: tuple[int, ...], groups: tuple[int, ...], versions: tuple[int, ...], legacy: int
) -> bytes:
    """One that shows no key yet: what can be agreed on is asked for again (§4.1.4), by a record
    that names it."""
    extensions = [
        (0, _block(2, b"\0" + _block(2, b"localhost"))),
        (10, _list(groups)),
        (13, _list((0x0403, 0x0804, 0x0401))),
    ]
    if versions:
        extensions += [(43, _list(versions, 1)), (51, _block(2, b""))]
    body = struct.pack("!H", legacy) + bytes(range(32)) + _block(1, b"") + _list(ciphers)
    body += _block(1, b"\0")
    body += _block(2, b"".join(struct.pack("!H", kind) + _block(2, e) for kind, e in extensions))
    return b"\x16" + struct.pack("!H", min(legacy, 0x0301)) + _block(2, b"\x01" + _block(3, body))


def answer(serving: Serving, hello: bytes) -> tuple[int, int]:
    """(ALERT, which) or (HANDSHAKE, the cipher)."""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as plain:
        plain.sendall(hello)
        plain.shutdown(socket.SHUT_WR)
        said = b""
        while part := plain.recv(4096):
            said += part
    if said[0] == ALERT:
        assert said[5] == 2, "fatal"
        return ALERT, said[6]
    assert said[0] == HANDSHAKE
    # 5 of the record, 4 of the handshake, the version, the random and the session's id.
    assert said[11:43] == RETRY
    return HANDSHAKE, int.from_bytes(said[44:46], "big")


TLS13 = (0x0304,)


@pytest.mark.parametrize("cipher", EVERY_CIPHER, ids=hex)
@pytest.mark.parametrize("group", [X25519, P256], ids=hex)
def test_these_ciphers_and_no_others_are_spoken(serving: Serving, cipher: int, group: int) -> None:
    said = answer(serving, client_hello((cipher,), (group,), TLS13, 0x0303))
    good = cipher in CIPHERS
    assert said == ((HANDSHAKE, cipher) if good else (ALERT, HANDSHAKE_FAILURE))


@pytest.mark.parametrize("group", EVERY_GROUP, ids=hex)
def test_these_groups_and_no_others_are_spoken(serving: Serving, group: int) -> None:
    said = answer(serving, client_hello(CIPHERS, (group,), TLS13, 0x0303))
    good = group in (X25519, P256)
    assert said[0] == (HANDSHAKE if good else ALERT)
    assert good or said[1] == HANDSHAKE_FAILURE


@pytest.mark.parametrize("legacy", [0x0300, 0x0301, 0x0302, 0x0303], ids=hex)
def test_older_versions_get_their_alert_and_are_counted(serving: Serving, legacy: int) -> None:
    name = 'dscore_tls_refused_total{reason="version"}'
    before = metric(serving, name)
    hello = client_hello(OLD_CIPHERS, (X25519, P256), (), legacy)
    assert answer(serving, hello) == (ALERT, PROTOCOL_VERSION)
    _wait_for_more(serving, name, before)
    # By the extension of TLS 1.3, too, which may name older ones alone (RFC 8446 §4.2.1).
    named = client_hello((*OLD_CIPHERS, *CIPHERS), (X25519, P256), (legacy,), 0x0303)
    assert answer(serving, named) == (ALERT, PROTOCOL_VERSION)
