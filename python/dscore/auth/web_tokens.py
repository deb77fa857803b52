"""JSON Web Tokens (RFC 7519), by the public keys of their issuer.

A key decides with which algorithms it is asked, never the token (RFC 8725 §3.1): an RSA key is
never taken for a secret of HMAC, and `none` is no algorithm here. Issuer, audience and an end are
demanded of every token.

A peer pays nothing for a token that is none, and a signature takes the event loop 0.1 to 1 ms for
each key that it is tried with. So all that can be judged without one is judged first, two keys at
most are tried (of the dear kinds one), and what was found of a signature is remembered: it holds
for as long as the keys do. No thread verifies: `cryptography` holds the interpreter's lock
meanwhile, and the loop would wait for that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jwt

from dscore.auth.grant import ROLES, Grant, Role
from dscore.auth.web_keys import Key, max_tried, read_keys
from dscore.errors import ConfigError

if TYPE_CHECKING:
    from jwt.types import Options

    from dscore.config import AuthConfig

MAX_WEB_TOKEN = 4096
"""Characters; a longer candidate is not looked at. In a message there are 1,024 at most."""
MAX_GOOD = 32_768
"""Tokens whose signature is known to be good: a fleet's, at 150 bytes each."""
MAX_BAD = 256
"""Those whose signature is known not to be: the log asks once more why."""
MAX_NAME = 64
"""Characters of a subject in the name of a token."""
_NOT_TAKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What a candidate may make of the reading of it: all of them mean that it is none."""
_ALL_BUT_SIGNATURE: Options = {
    "verify_signature": False,
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": True,
    "verify_aud": True,
    "verify_iss": True,
    "verify_sub": True,
    "verify_jti": True,
    "require": ["exp", "iss", "aud"],
}
_UNSIGNED = "no key of auth.jwt_keys has signed it"
_UNNAMED = "it does not say by kid which of several keys of auth.jwt_keys has signed it"
_WHY_NOT: Mapping[type[Exception], str] = MappingProxyType(
    {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.InvalidAudienceError: "it is not for auth.jwt_audience",
        jwt.InvalidIssuerError: "it is not of auth.jwt_issuer",
        jwt.MissingRequiredClaimError: "it lacks exp, iss or aud",
    }
)


class _Seen:
    """The last so many that were asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[bytes, None] = {}

    def add(self, digest: bytes) -> None:
        self._seen[digest] = None
        if len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]

    def __contains__(self, digest: bytes) -> bool:
        if digest not in self._seen:
            return False
        del self._seen[digest]
        self._seen[digest] = None
        return True


class WebTokens:
    """Says what a signed token is good for."""

    def __init__(self, keys: Iterable[Key], auth: AuthConfig) -> None:
        """
        Args:
            keys: of the issuer.
            auth: issuer, audience, leeway, and which claims tell the role and the agents.
        """
        self._keys = tuple(keys)
        self._auth = auth
        self._good = _Seen(MAX_GOOD)
        self._bad = _Seen(MAX_BAD)
        self._jws = jwt.PyJWS()
        self._secret = secrets.token_bytes(32)

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
        return cls(read_keys(path), auth)

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
            digest = self._digest(candidate)
            if digest in self._bad:
                return _UNSIGNED
            header, claims = self._read(candidate)
            grant = self._grant(claims)
            if grant is None:
                return "its claims give it no role, or an agent's without an id"
            unsigned = "" if digest in self._good else self._verify(candidate, digest, header)
        except _NOT_TAKEN as error:
            return _WHY_NOT.get(type(error), "it cannot be read")
        return unsigned or grant

    def _digest(self, candidate: str) -> bytes:
        # Under a key of this process: no peer can make two that are the same here.
        return blake2b(candidate.encode(), digest_size=16, key=self._secret).digest()

    def _read(self, candidate: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What it says, if that is for us and for now: proved is none of it."""
        auth = self._auth
        read = jwt.decode_complete(
            candidate,
            issuer=auth.jwt_issuer,
            audience=auth.jwt_audience,
            leeway=auth.jwt_leeway,
            options=_ALL_BUT_SIGNATURE,
        )
        return read["header"], read["payload"]

    def _verify(self, candidate: str, digest: bytes, header: Mapping[str, Any]) -> str:
        """Why its signature is none of ours; "": it is one, and known to be from here on."""
        # RFC 7515 §4.1.11: what must be understood, and is not.
        if "crit" in header:
            return _UNSIGNED
        algorithm = header.get("alg")
        keys = self._keys_for(algorithm, header.get("kid"))
        if len(keys) > max_tried(algorithm):
            return _UNNAMED
        is_signed = any(self._has_signed(key, candidate) for key in keys)
        (self._good if is_signed else self._bad).add(digest)
        return "" if is_signed else _UNSIGNED

    def _has_signed(self, key: Key, candidate: str) -> bool:
        try:
            self._jws.decode_complete(candidate, key.key, algorithms=sorted(key.algorithms))
        except jwt.InvalidSignatureError:
            return False
        return True

    def _keys_for(self, algorithm: object, kid: object) -> list[Key]:
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if kid is not None and any(key.kid == kid for key in fitting):
            return [key for key in fitting if key.kid == kid]
        # Keys without a name may be the one that it names.
        return [key for key in fitting if kid is None or key.kid is None]

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
