"""Keys that JSON Web Tokens are verified by: public ones, as PEM or JWK Set (RFC 7517)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dscore.errors import ConfigError

MAX_KEYS = 64
"""Keys of a file."""
MAX_TRIED = 2
"""Keys that one token is tried with: the old and the new one while they are changed, where neither
has a name."""
_DEAR = frozenset({"ES384", "ES512"})
"""A signature of these takes the event loop 1 ms, several times as long as others: its key must be
known, or the only one."""
MIN_RSA_BITS = 2048
MIN_SECRET_BYTES = 32

_PEM = "-----BEGIN "
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_HMAC = frozenset({"HS256", "HS384", "HS512"})
_PRIVATE = "holds a private key, which only the issuer should have"


@dataclass(frozen=True, slots=True)
class Key:
    """One key, with what it may verify.

    Attributes:
        kid: Its name in a JWK Set; None: it has none.
    """

    key: Any
    algorithms: frozenset[str]
    kid: str | None


def max_tried(algorithm: object) -> int:
    """How many keys a token of this algorithm is tried with."""
    return 1 if algorithm in _DEAR else MAX_TRIED


def read_keys(path: Path) -> list[Key]:
    """The keys of a file.

    Raises:
        ConfigError: it cannot be read, holds no key that can be used, or too many.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise _unusable(path, "is not text") from None
    keys = _pem_keys(path, text) if _PEM in text else _json_keys(path, text)
    if not keys:
        raise _unusable(path, "holds no key that verifies signatures")
    if len(keys) > MAX_KEYS:
        raise _unusable(path, f"holds more than {MAX_KEYS} keys")
    _check_names(path, keys)
    return keys


def _pem_keys(path: Path, text: str) -> list[Key]:
    """Public keys, and those of certificates; what stands between them is for people."""
    keys = []
    for part in text.split(_PEM)[1:]:
        block = (_PEM + part).encode()
        if b"PRIVATE KEY-----" in block:
            raise _unusable(path, _PRIVATE)
        try:
            if block.startswith(b"-----BEGIN CERTIFICATE-----"):
                key: object = x509.load_pem_x509_certificate(block).public_key()
            else:
                key = load_pem_public_key(block)
        except ValueError:
            why = "holds a block that is neither a public key nor a certificate"
            raise _unusable(path, why) from None
        keys.append(Key(key, _algorithms(path, key), None))
    return keys


def _json_keys(path: Path, text: str) -> list[Key]:
    """A JWK Set (RFC 7517 §5), less its keys for encryption and those of unknown kinds."""
    try:
        document = json.loads(text)
        given = document["keys"]
        entries = [entry for entry in given if entry.get("use", "sig") == "sig"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _unusable(path, "is neither PEM nor a JWK Set") from None
    keys = []
    for entry in entries:
        try:
            key = jwt.PyJWK.from_dict(entry).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        algorithms = _algorithms(path, key)
        if named := entry.get("alg"):
            algorithms &= {named}
        kid = entry.get("kid")
        if algorithms:
            keys.append(Key(key, algorithms, kid if isinstance(kid, str) else None))
    return keys


def _algorithms(path: Path, key: object) -> frozenset[str]:
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise _unusable(path, _PRIVATE)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise _unusable(path, f"holds an RSA key of less than {MIN_RSA_BITS} bits")
        return _RSA
    if isinstance(key, ec.EllipticCurvePublicKey):
        return frozenset(filter(None, (_CURVES.get(key.curve.name),)))
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return frozenset({"EdDSA"})
    if isinstance(key, bytes):
        if len(key) < MIN_SECRET_BYTES:
            raise _unusable(path, f"holds a secret of less than {MIN_SECRET_BYTES} bytes")
        return _HMAC
    return frozenset()


def _check_names(path: Path, keys: Iterable[Key]) -> None:
    """Demands that no more keys have the same name, or none, than a token is tried with."""
    alike = Counter((name, key.kid) for key in keys for name in key.algorithms)
    for (algorithm, kid), count in sorted(alike.items(), key=str):
        most = max_tried(algorithm)
        if count > most:
            which = "without a name" if kid is None else f"named {kid!r}"
            raise ConfigError(
                f"auth.jwt_keys = {path}: holds {count} keys {which} for {algorithm}, of which a "
                f"token is tried with {most} at most: leave out those that sign no more, or give "
                "a JWK Set whose keys have a kid each"
            )


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"auth.jwt_keys = {path}: {why}: give the issuer's public keys, as PEM or as a JWK Set"
    )
