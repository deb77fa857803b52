"""Certificates for tests: an authority that issues, to servers and clients, what a test asks for.

    authority = Authority("fleet CA")
    files = authority.issue("localhost", "127.0.0.1").save(directory)
    context = ssl.create_default_context(cafile=str(authority.save(directory)))

Keys are P-256 unless a test wants RSA: they are made in no time. The fixture `authority` is one for
all tests.
"""

from __future__ import annotations

import ipaddress
import itertools
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

DAY = timedelta(days=1)
_numbers = itertools.count(1)


def new_key(kind: str = "p256") -> Key:
    """A private key: "p256", "p384", or "rsa" with 2,048 bits."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


def key_pem(key: Key) -> bytes:
    """As PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@dataclass(frozen=True)
class Files:
    """Where a certificate and its key lie."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and the chain up to its authority, which is left out."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_pem(self) -> bytes:
        """The certificate, then its chain."""
        return b"".join(
            one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *self.chain)
        )

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    def save(self, directory: Path, name: str = "server") -> Files:
        """Writes NAME.pem and NAME.key, over what was there."""
        files = Files(directory / f"{name}.pem", directory / f"{name}.key")
        # The key first: a server that looks in between finds a pair that does not fit, and says so.
        files.key.write_bytes(self.key_pem)
        files.key.chmod(0o600)
        files.certificate.write_bytes(self.certificate_pem)
        return files

    def server_context(
        self, directory: Path, *, clients: Authority | None = None
    ) -> ssl.SSLContext:
        """How a server is to listen that shows this certificate; saves it there.

        Args:
            clients: whose clients alone are let in; None: all, without a certificate of theirs.
        """
        files = self.save(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.certificate_pem.decode())
        return context


class Authority:
    """A certificate authority; `intermediate` makes one below it."""

    def __init__(self, name: str = "dscore test CA", *, parent: Authority | None = None) -> None:
        self.key = new_key()
        self.parent = parent
        self.certificate = self._sign_own(name)

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def save(self, directory: Path, name: str = "ca") -> Path:
        """Writes NAME.pem."""
        path = directory / f"{name}.pem"
        path.write_bytes(self.certificate_pem)
        return path

    def intermediate(self, name: str = "dscore test intermediate") -> Authority:
        """An authority whose certificate this one has signed: the chain of what it issues."""
        return Authority(name, parent=self)

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        client: bool = False,
        begins: timedelta = -DAY,
        ends: timedelta = 30 * DAY,
        key: str = "p256",
    ) -> Issued:
        """A certificate for these names: host names, addresses, or URIs.

        Args:
            common_name: of the subject; none if left out.
            client: for a client, else for a server.
            begins: when it becomes valid, from now.
            ends: when it ceases to be, from now.
            key: as in `new_key`.
        """
        private = new_key(key)
        now = datetime.now(timezone.utc)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=not common_name)
        chain = () if self.parent is None else self._chain()
        return Issued(builder.sign(self.key, hashes.SHA256()), private, chain)

    def client(self, *names: str, **options: object) -> Issued:
        """A client's certificate for these names."""
        return self.issue(*names, client=True, **options)  # type: ignore[arg-type]

    def crl(self, revoked: Iterable[Issued] = (), *, ends: timedelta = 30 * DAY) -> bytes:
        """A revocation list, as PEM."""
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - DAY)
            .next_update(now + ends)
            .add_extension(x509.CRLNumber(next(_numbers)), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder(one.certificate.serial_number, now - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def client_context(self, client: Files | None = None) -> ssl.SSLContext:
        """How a client is to connect that trusts this authority alone."""
        context = ssl.create_default_context(cadata=self.certificate_pem.decode())
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context

    def _sign_own(self, name: str) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        issuer, signer = (None, self.key)
        if self.parent is not None:
            issuer, signer = self.parent.certificate.subject, self.parent.key
        usage = dict.fromkeys(
            (
                *("digital_signature", "content_commitment", "key_encipherment"),
                *("data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(name))
            .issuer_name(issuer or _subject(name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + 60 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
        )
        if self.parent is not None:
            builder = builder.add_extension(self.parent._authority_key(), critical=False)
        return builder.sign(signer, hashes.SHA256())

    def _authority_key(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    def _chain(self) -> tuple[x509.Certificate, ...]:
        above = () if self.parent is None or self.parent.parent is None else self.parent._chain()
        return (self.certificate, *above)


def _subject(common_name: str | None) -> x509.Name:
    if common_name is None:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
