"""The certificates that tests make: Python's own TLS takes them, or refuses them for that."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from certificates import Authority, Issued


def shake_hands(
    server: Issued, authority: Authority, directory: Path, client: Issued | None = None
) -> ssl.SSLObject:
    """What a server of this certificate has of a client that trusts the authority, once both are
    content."""
    files = server.save(directory)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.certificate, files.key)
    mine = None
    if client is not None:
        server_context.verify_mode = ssl.CERT_REQUIRED
        server_context.load_verify_locations(authority.save(directory))
        mine = client.save(directory, "client")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        authority.client_context(mine).wrap_bio(down, up, server_hostname="fleet.example"),
        server_context.wrap_bio(up, down, server_side=True),
    )
    done = [False, False]
    for _ in range(6):
        for number, end in enumerate(ends):
            if not done[number]:
                try:
                    end.do_handshake()
                    done[number] = True
                except ssl.SSLWantReadError:
                    pass
    assert all(done)
    return ends[1]


@pytest.mark.parametrize("key", ["p256", "p384", "rsa"])
def test_a_server_s_certificate_is_taken(authority: Authority, tmp_path: Path, key: str) -> None:
    shake_hands(authority.issue("fleet.example", key=key), authority, tmp_path)


def test_one_of_an_intermediate_comes_with_its_chain(authority: Authority, tmp_path: Path) -> None:
    issued = authority.intermediate().intermediate("another").issue("fleet.example")
    assert len(issued.chain) == 2
    shake_hands(issued, authority, tmp_path)


def test_a_client_s_names_reach_the_server(authority: Authority, tmp_path: Path) -> None:
    client = authority.client("truck-7", "spiffe://fleet/truck-7", common_name="truck-7")
    server = shake_hands(authority.issue("fleet.example"), authority, tmp_path, client)
    names = (server.getpeercert() or {})["subjectAltName"]
    assert names == (("DNS", "truck-7"), ("URI", "spiffe://fleet/truck-7"))


@pytest.mark.parametrize(
    ("issued", "reason"),
    [
        (lambda ca: ca.issue("fleet.example", ends=-timedelta(hours=1)), "expired"),
        (lambda ca: ca.issue("fleet.example", begins=timedelta(days=1)), "not yet valid"),
        (lambda ca: ca.issue("other.example"), "Hostname mismatch"),
        (lambda ca: Authority("another").issue("fleet.example"), "unable to get local issuer"),
        (lambda ca: ca.client("fleet.example"), "unsuitable certificate purpose"),
    ],
)
def test_one_that_is_wrong_is_refused_for_that(
    authority: Authority, tmp_path: Path, issued: "object", reason: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        shake_hands(issued(authority), authority, tmp_path)  # type: ignore[operator]
