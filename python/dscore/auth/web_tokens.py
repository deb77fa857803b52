"""JSON Web Tokens (RFC 7519), by the public keys of their issuer.

A key decides with which algorithms it is asked, never the token (RFC 8725 §3.1): an RSA key is
never taken for a secret of HMAC, and `none` is no algorithm here. Issuer, audience and an end are
demanded of every token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dscore.auth.grant import ROLES, Grant, Role
from dscore.errors import ConfigError

if TYPE_CHECKING:
    from dscore.config import AuthConfig

MAX_WEB_TOKEN = 4096
"""Characters; a longer candidate is not looked at. In a message there are 1,024 at most."""
MAX_KEYS = 64
"""Keys of a file."""
MAX_TRIED = 4
"""Keys that one token is tried with: each try costs a signature, for a peer that pays nothing."""
MAX_NAME = 64
"""Characters of a subject in the name of a token."""
MIN_RSA_BITS = 2048
MIN_SECRET_BYTES = 32

_PEM = "-----BEGIN "
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_HMAC = frozenset({"HS256", "HS384", "HS512"})
_PRIVATE = "holds a private key, which only the issuer should have"
_NOT_TAKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What a candidate may make of the reading of it: all of them mean that it is none."""
_WHY_NOT: Mapping[type[Exception], str] = MappingProxyType(
    {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.InvalidAudienceError: "it is not for auth.jwt_audience",
        jwt.InvalidIssuerError: "it is not of auth.jwt_issuer",
        jwt.MissingRequiredClaimError: "it lacks exp, iss or aud",
    }
)


@dataclass(frozen=True, slots=True)
class _Key:
    """One key, with what it may verify."""

    key: Any
    algorithms: frozenset[str]
    kid: str | None


class WebTokens:
    """Says what a signed token is good for."""

    def __init__(self, keys: Iterable[_Key], auth: AuthConfig) -> None:
        """
        Args:
            keys: of the issuer.
            auth: issuer, audience, leeway, and which claims tell the role and the agents.
        """
        self._keys = tuple(keys)
        self._auth = auth

    @classmethod
    def from_settings(cls, path: Path, auth: AuthConfig) -> WebTokens:
        """Those that the keys of a file have signed (`auth.jwt_keys`).

        Raises:
            ConfigError: the file cannot be read, holds no key that can be used, or it is not said
                which of the issuer's tokens are meant.
        """
        for name in ("jwt_issuer", "jwt_audience"):
            if getattr(auth, name) is None:
                raise ConfigError(
                    f"auth.{name} must be set where auth.jwt_keys is: else any token of the issuer "
                    "would do, whatever it was made for"
                )
        return cls(_read_keys(path), auth)

    def find(self, candidate: str | None) -> Grant | None:
        """What a token is good for; None: it is none, or is no longer, or not yet."""
        verdict = self._verdict(candidate)
        return verdict if isinstance(verdict, Grant) else None

    def why_not(self, candidate: str | None) -> str:
        """Why `find` has nothing for it; "": it does not look like a signed one."""
        verdict = self._verdict(candidate)
        return "" if isinstance(verdict, Grant) else verdict

    def _verdict(self, candidate: str | None) -> Grant | str:
        if not candidate or len(candidate) > MAX_WEB_TOKEN or candidate.count(".") != 2:
            return ""
        try:
            header = jwt.get_unverified_header(candidate)
            claims = self._verify(candidate, header)
        except _NOT_TAKEN as error:
            return _WHY_NOT.get(type(error), "it cannot be read")
        if claims is None:
            return "no key of auth.jwt_keys has signed it"
        return self._grant(claims) or "its claims give it no role, or an agent's without an id"

    def _verify(self, candidate: str, header: Mapping[str, Any]) -> dict[str, Any] | None:
        # RFC 7515 §4.1.11: what must be understood, and is not.
        if "crit" in header:
            return None
        for key in self._keys_for(header.get("alg"), header.get("kid")):
            try:
                claims: dict[str, Any] = jwt.decode(
                    candidate,
                    key.key,
                    algorithms=sorted(key.algorithms),
                    issuer=self._auth.jwt_issuer,
                    audience=self._auth.jwt_audience,
                    leeway=self._auth.jwt_leeway,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except jwt.InvalidSignatureError:
                continue
            return claims
        return None

    def _keys_for(self, algorithm: object, kid: object) -> list[_Key]:
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if kid is not None and any(key.kid == kid for key in fitting):
            return [key for key in fitting if key.kid == kid][:MAX_TRIED]
        # Keys without a name may be the one that it names.
        return [key for key in fitting if kid is None or key.kid is None][:MAX_TRIED]

    def _grant(self, claims: dict[str, Any]) -> Grant | None:
        roles = frozenset[Role](role for role in ROLES if role in _texts(self._role(claims)))
        agents = self._agents(claims)
        if agents == ():
            roles -= {"agent"}
        if not roles:
            return None
        name = str(claims.get("sub") or claims.get("jti") or "")[:MAX_NAME]
        shown = name if name.isprintable() else ascii(name)
        return Grant(f"jwt:{shown}", roles, agents, MappingProxyType(claims))

    def _role(self, claims: Mapping[str, Any]) -> object:
        return _claim(claims, self._auth.jwt_role_claim, "agent")

    def _agents(self, claims: Mapping[str, Any]) -> tuple[str, ...] | None:
        """The ids that an agent may use: none where the claim for them is missing."""
        claim = self._auth.jwt_agent_claim
        return None if claim is None else _texts(_claim(claims, claim, None))


def _claim(claims: Mapping[str, Any], name: str, default: object) -> object:
    """A claim by its name, or by the path to it: "realm_access.roles"."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value


def _texts(value: object) -> tuple[str, ...]:
    """A claim that is a text or a list of texts."""
    values = value if isinstance(value, list) else [value]
    return tuple(one for one in values if isinstance(one, str) and one)


def _read_keys(path: Path) -> list[_Key]:
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
    return keys


def _pem_keys(path: Path, text: str) -> list[_Key]:
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
        keys.append(_Key(key, _algorithms(path, key), None))
    return keys


def _json_keys(path: Path, text: str) -> list[_Key]:
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
            keys.append(_Key(key, algorithms, kid if isinstance(kid, str) else None))
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


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"auth.jwt_keys = {path}: {why}: give the issuer's public keys, as PEM or as a JWK Set"
    )
