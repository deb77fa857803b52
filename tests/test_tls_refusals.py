"""What the log and the audit tell of handshakes that are refused, by the real server."""

import json
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certificates import DAY, Authority, Issued, new_key
from serving import Serving
from tls_clients import dial, get, read_all, s_client
from waiting import wait_until

Serve = Callable[..., Serving]


def odd(authority: Authority) -> Issued:
    """A certificate with something in it that is marked as critical, and that no server knows."""
    key, now = new_key(), datetime.now(timezone.utc)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cam-1")]), critical=True)
        .add_extension(unknown, critical=True)
    )
    return Issued(builder.sign(authority.key, hashes.SHA256()), key)


def clients(authority: Authority, revoked: Issued) -> dict[str, Issued]:
    """One certificate for each cause of its refusal."""
    return {
        "unknown_ca": Authority("another CA").client("cam-1", common_name="cam 1"),
        "expired": authority.client("cam-1", begins=-9 * DAY, ends=-2 * DAY),
        "not_yet_valid": authority.client("cam-1", begins=2 * DAY),
        "revoked": revoked,
        "wrong_usage": authority.issue("cam-1"),
        "bad_certificate": odd(authority),
        "not_in_revocation_lists": authority.intermediate().client("cam-1"),
    }


def connect(port: int, context: ssl.SSLContext) -> None:
    """Tries; with TLS 1.3 a client hears late that its certificate is not good."""
    with suppress(ssl.SSLError, ConnectionError), dial(port, context) as tls:
        get(tls, "/readyz")


def refused(serving: Serving, cause: str) -> dict[str, Any]:
    """The first line of this cause."""

    def find() -> dict[str, Any] | None:
        lines = [line for line in serving.log_lines() if line.get("event") == "tls_refused"]
        return next((line for line in lines if line["cause"] == cause), None)

    return wait_until(find, f"a line of {cause}", 30)


def audit(serving: Serving, context: ssl.SSLContext) -> list[dict[str, Any]]:
    """Oldest first."""
    bearer = serving.power["authorization"]
    with dial(serving.port, context) as tls:
        tls.sendall(
            f"GET /api/v1/audit HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        return list(reversed(json.loads(read_all(tls).partition(b"\r\n\r\n")[2])["items"]))


def written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_a_client_certificate_that_is_refused_is_told_of_with_its_cause(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    files = authority.issue("localhost", "127.0.0.1").save(tmp_path)
    revoked = authority.client("cam-1")
    crl = tmp_path / "revoked.crl"
    crl.write_bytes(authority.crl([revoked]))
    env = {
        "DSCORE_TLS__CLIENT_CA": str(authority.save(tmp_path, "clients")),
        "DSCORE_TLS__CLIENT_AUTH": "required",
        "DSCORE_TLS__CLIENT_CRL": str(crl),
    }
    words = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    serving = serve(*words, env=env)
    shown = clients(authority, revoked)
    for cause, issued in shown.items():
        context = authority.client_context(issued.save(tmp_path, cause))
        for _ in range(2):
            connect(serving.port, context)
        line, certificate = refused(serving, cause), issued.certificate
        assert (line["ip"], line["reason"]) == ("127.0.0.1", "certificate")
        assert line["port"] > 0
        assert line["certificate_names"][0] == "cam-1"
        issuer = certificate.issuer.rfc4514_string()
        assert line["certificate_issuer"] == issuer
        serial = line["certificate_serial"].replace(":", "")
        assert int(serial, 16) == certificate.serial_number
        assert line["certificate_not_before"] == written(certificate.not_valid_before_utc)
        assert line["certificate_not_after"] == written(certificate.not_valid_after_utc)
    connect(serving.port, authority.client_context())
    line = refused(serving, "no_certificate")
    assert line["reason"] == "certificate"
    assert not any(name.startswith("certificate_") for name in line)

    mine = authority.client_context(authority.client("boss").save(tmp_path, "mine"))
    kept = audit(serving, mine)
    # One of each, though each came twice: one agent that tries again pushes no other out.
    assert [entry["cause"] for entry in kept] == [*shown, "no_certificate"]
    assert {(entry["who"], entry["status"], entry["reason"]) for entry in kept} == {
        (None, None, "certificate")
    }
    assert kept[0]["certificate_names"] == ["cam-1", "cam 1"]
    assert kept[0]["certificate_issuer"] == "CN=another CA"


@pytest.mark.parametrize(
    ("cause", "reason", "words"),
    [
        ("version", "version", ("-tls1_2",)),
        ("no_common_cipher", "incompatible", ("-ciphersuites", "TLS_AES_128_CCM_SHA256")),
        ("no_common_group", "incompatible", ("-groups", "X448")),
        ("no_common_signature", "incompatible", ("-sigalgs", "RSA-PSS+SHA256")),
        ("no_common_protocol", "incompatible", ("-alpn", "h2")),
        ("alert_unknown_ca", "by_client", ("-verify_return_error", "-verify", "3")),
    ],
)
def test_a_client_that_has_nothing_in_common_is_told_of(
    plain_tls: Serving, cause: str, reason: str, words: tuple[str, ...]
) -> None:
    s_client(plain_tls.port, *words)
    line = refused(plain_tls, cause)
    assert (line["ip"], line["reason"]) == ("127.0.0.1", reason)


@pytest.fixture(scope="module")
def plain_tls(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("refusals")
    files = Authority().issue("localhost", "127.0.0.1").save(directory)
    words = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    env = {"DSCORE_LIMITS__HANDSHAKE_TIMEOUT": "2s"}
    with Serving(*words, directory=directory, env=env).wait_until_ready() as serving:
        yield serving


def test_what_is_no_handshake_and_one_that_is_left_are_told_of(plain_tls: Serving) -> None:
    port = plain_tls.port
    with socket.create_connection(("127.0.0.1", port), timeout=30) as wrong:
        wrong.sendall(b"\x16\x03\x01\x00\x05hello")
        while wrong.recv(4096):
            pass
    assert refused(plain_tls, "invalid")["reason"] == "invalid"
    half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as left:
        left.sendall(half)
    assert refused(plain_tls, "no_hello")["reason"] == "gone"
    # A client that reads the answer and says nothing more; and one that never says all.
    late = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
        ssl.MemoryBIO(), out := ssl.MemoryBIO(), server_hostname="localhost"
    )
    with pytest.raises(ssl.SSLWantReadError):
        late.do_handshake()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
        silent.sendall(out.read())
        while silent.recv(65_536):
            pass
    line = refused(plain_tls, "no_answer")
    assert line["reason"] == "timeout"
    assert "certificate_names" not in line


def test_a_port_that_is_only_looked_at_is_worth_no_line(plain_tls: Serving) -> None:
    def lines() -> int:
        return plain_tls.log.count('"tls_refused"')

    before = lines()
    for _ in range(5):
        socket.create_connection(("127.0.0.1", plain_tls.port), timeout=30).close()
    # Behind it there is one that is told of.
    s_client(plain_tls.port, "-tls1_2")
    wait_until(lambda: lines() > before, "the line of the last", 30)
    assert lines() == before + 1


def test_a_date_of_no_year_that_there_is_is_told_of_as_its_number() -> None:
    from dscore.server.tls_refusals import _time

    assert _time(0) == "1970-01-01T00:00:00.000Z"
    assert _time(-(1 << 60)) == str(-(1 << 60))
