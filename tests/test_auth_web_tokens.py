"""JSON Web Tokens: which are taken, which never, and what the file of keys may hold."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from certificates import Authority
from dscore.auth import Grant, read_keyring
from dscore.auth.web_keys import Key
from dscore.auth.web_tokens import MAX_WEB_TOKEN, WebTokens, _Seen
from dscore.config import AuthConfig
from dscore.errors import ConfigError
from waiting import wait_until

P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED = ed25519.Ed25519PrivateKey.generate()
SECRET = b"0123456789abcdef0123456789abcdef"
Write = Callable[[str], Path]


def pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return found.decode()


def jwk(algorithm: str, key: Any, **fields: str) -> dict[str, Any]:
    public = key if isinstance(key, bytes) else key.public_key()
    text = jwt.get_algorithm_by_name(algorithm).to_jwk(public)
    return {**json.loads(text), **fields}


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": "https://id.example", "aud": "fleet", "exp": now + 600, "sub": "cam-1", **other}
    return {name: value for name, value in given.items() if value is not None}


def signed(key: Any = P256, algorithm: str = "ES256", headers: Any = None, **other: Any) -> str:
    return jwt.encode(claims(**other), key, algorithm=algorithm, headers=headers)


@pytest.fixture
def tokens(tmp_path: Path) -> Callable[..., WebTokens]:
    def read(text: str, **settings: Any) -> WebTokens:
        path = tmp_path / "keys"
        path.write_text(text)
        auth = AuthConfig(
            jwt_keys=path, jwt_issuer="https://id.example", jwt_audience="fleet", **settings
        )
        return WebTokens.from_settings(path, auth)

    return read


def found(tokens: WebTokens, token: str) -> Grant:
    grant = tokens.find(token)
    assert grant is not None
    return grant


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(P256, "ES256"), (RSA, "RS256"), (RSA, "PS512"), (ED, "EdDSA")],
)
def test_takes_what_the_key_has_signed(
    tokens: Callable[..., WebTokens], key: Any, algorithm: str
) -> None:
    for text in (pem(key), json.dumps({"keys": [jwk(algorithm, key)]})):
        grant = found(tokens(text), signed(key, algorithm, site="north"))
        assert (grant.name, grant.roles, grant.agents) == ("jwt:cam-1", {"agent"}, ("cam-1",))
        assert grant.claims["site"] == "north"


def test_takes_the_key_of_a_certificate(
    tokens: Callable[..., WebTokens], authority: Authority
) -> None:
    issued = authority.issue("id.example")
    assert tokens(issued.certificate_pem.decode()).find(signed(issued.key)) is not None
    with pytest.raises(ConfigError, match="neither a public key nor a certificate"):
        tokens("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_takes_none_that_another_has_signed(tokens: Callable[..., WebTokens]) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert tokens(pem(P256)).find(signed(other)) is None
    assert tokens(pem(other) + pem(P256)).find(signed(P256)) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e400},
        {"nbf": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 86_400},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "shop"},
        {"aud": None},
        {"sub": 7},
    ],
)
def test_takes_none_that_is_not_for_us_or_not_for_now(
    tokens: Callable[..., WebTokens], other: dict[str, Any]
) -> None:
    assert tokens(pem(P256)).find(signed(**other)) is None


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (signed(exp=1), "it has expired"),
        (signed(nbf=int(time.time()) + 86_400), "it is not valid yet"),
        (signed(aud="shop"), "it is not for auth.jwt_audience"),
        (signed(iss="https://evil.example"), "it is not of auth.jwt_issuer"),
        (signed(exp=None), "it lacks exp, iss or aud"),
        (signed(ec.generate_private_key(ec.SECP256R1())), "no key of auth.jwt_keys has signed it"),
        (signed(RSA, "RS256"), "no key of auth.jwt_keys has signed it"),
        (signed(sub=None), "its claims give it no role, or an agent's without an id"),
        (signed(role="king"), "its claims give it no role, or an agent's without an id"),
        ("a.b.c", "it cannot be read"),
        ("guess-4711", ""),
        (signed(), ""),
    ],
)
def test_it_is_said_why_a_token_is_none(
    tokens: Callable[..., WebTokens], token: str, why: str
) -> None:
    assert tokens(pem(P256)).why_not(token) == why


def test_a_clock_may_be_wrong_by_the_leeway(tokens: Callable[..., WebTokens]) -> None:
    late = signed(exp=int(time.time()) - 60)
    assert tokens(pem(P256), jwt_leeway="2m").find(late) is not None
    assert tokens(pem(P256), jwt_leeway="0s").find(late) is None
    with pytest.raises(ValueError, match="between"):
        AuthConfig(jwt_leeway="6m")  # type: ignore[arg-type]


def test_the_audience_may_be_one_of_several(tokens: Callable[..., WebTokens]) -> None:
    assert tokens(pem(P256)).find(signed(aud=["shop", "fleet"])) is not None


def test_a_token_never_chooses_how_it_is_verified(tokens: Callable[..., WebTokens]) -> None:
    def forged(header: dict[str, Any], signature: bytes) -> str:
        parts = (json.dumps(header).encode(), json.dumps(claims()).encode(), signature)
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    import hashlib
    import hmac

    text = pem(RSA)
    for name in ("none", "None", "NONE", "nOnE", ""):
        assert tokens(text).find(forged({"alg": name, "typ": "JWT"}, b"")) is None
    # The public key of RSA, taken for a secret of HMAC.
    unsigned = forged({"alg": "HS256", "typ": "JWT"}, b"").rpartition(".")[0]
    for secret in (text.encode(), text.strip().encode()):
        mac = hmac.digest(secret, unsigned.encode(), hashlib.sha256)
        signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        assert tokens(text).find(f"{unsigned}.{signature}") is None
    for key in (pem(P256), pem(RSA)):
        assert tokens(key).find(signed(SECRET, "HS256")) is None
    only = json.dumps({"keys": [jwk("RS256", RSA, alg="RS256")]})
    assert tokens(only).find(signed(RSA, "RS512")) is None
    assert tokens(only).find(signed(RSA, "RS256")) is not None


def test_a_secret_is_for_hmac_and_only_in_a_jwk_set(tokens: Callable[..., WebTokens]) -> None:
    text = json.dumps({"keys": [jwk("HS256", SECRET)]})
    assert tokens(text).find(signed(SECRET, "HS256")) is not None
    assert tokens(text).find(signed(RSA, "RS256")) is None
    with pytest.raises(ConfigError, match="a secret of less than 32 bytes"):
        tokens(json.dumps({"keys": [jwk("HS256", SECRET[:16])]}))


def test_a_key_is_chosen_by_its_name(tokens: Callable[..., WebTokens]) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    both = [jwk("ES256", P256, kid="one"), jwk("ES256", other, kid="two")]
    read = tokens(json.dumps({"keys": both}))
    assert read.find(signed(P256, headers={"kid": "one"})) is not None
    assert read.find(signed(other, headers={"kid": "two"})) is not None
    assert read.find(signed(P256)) is not None
    for kid in ("two", "three"):
        assert read.find(signed(P256, headers={"kid": kid})) is None
    assert read.find(signed(P256, headers={"crit": ["b64"]})) is None


@pytest.mark.parametrize(
    ("other", "roles"),
    [
        ({}, {"agent"}),
        ({"role": "operator"}, {"operator"}),
        ({"role": ["watcher", "agent", "admin"]}, {"watcher", "agent"}),
        ({"role": "Operator"}, None),
        ({"role": {"operator": True}}, None),
        ({"role": 7}, None),
        ({"sub": None}, None),
        ({"sub": None, "role": "watcher"}, {"watcher"}),
    ],
)
def test_a_claim_names_the_role(
    tokens: Callable[..., WebTokens], other: dict[str, Any], roles: set[str] | None
) -> None:
    grant = tokens(pem(P256)).find(signed(**other))
    assert (None if grant is None else set(grant.roles)) == roles


def test_the_claims_that_count_can_be_chosen(tokens: Callable[..., WebTokens]) -> None:
    settings = {"jwt_role_claim": "realm_access.roles", "jwt_agent_claim": "agents"}
    read = tokens(pem(P256), **settings)
    token = signed(realm_access={"roles": ["operator", "agent"]}, agents=["a-*", "b"])
    assert found(read, token).roles == {"operator", "agent"}
    assert found(read, token).may_be_agent("a-7")
    assert not found(read, token).may_be_agent("cam-1")
    assert read.find(signed()) is None, "an agent without the claim may be no agent"
    with_dots = tokens(pem(P256), jwt_role_claim="https://fleet.example/role")
    assert found(with_dots, signed(**{"https://fleet.example/role": "watcher"})).may_read
    anyone = tokens(pem(P256), jwt_agent_claim="none")
    assert found(anyone, signed()).may_be_agent("whichever")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is neither PEM nor a JWK Set"),
        ("{}", "is neither PEM nor a JWK Set"),
        ("[" * 5000, "is neither PEM nor a JWK Set"),
        ('{"keys": [{"kty": "XYZ"}, {"kty": "RSA"}]}', "holds no key"),
        ('{"keys": []}', "holds no key"),
        ("-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----", "a block that is neither"),
    ],
)
def test_a_file_of_keys_that_is_none(tokens: Callable[..., WebTokens], text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"auth\.jwt_keys = ") as caught:
        tokens(text)
    assert why in str(caught.value)
    assert "give the issuer's public keys" in str(caught.value)


def test_a_private_key_and_a_weak_one_are_refused(tokens: Callable[..., WebTokens]) -> None:
    form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    private = P256.private_bytes(encoding, form, serialization.NoEncryption()).decode()
    with pytest.raises(ConfigError, match="a private key, which only the issuer should have"):
        tokens(private)
    text = jwt.get_algorithm_by_name("RS256").to_jwk(RSA)
    with pytest.raises(ConfigError, match="a private key"):
        tokens(json.dumps({"keys": [json.loads(text)]}))
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ConfigError, match="less than 2048 bits"):
        tokens(pem(weak))


def test_issuer_and_audience_are_demanded_with_the_keys(tmp_path: Path) -> None:
    for missing in ("jwt_issuer", "jwt_audience"):
        given: dict[str, Any] = {"jwt_issuer": "a", "jwt_audience": "b", missing: None}
        with pytest.raises(ConfigError, match=rf"auth\.{missing} must be set"):
            read_keyring(AuthConfig(jwt_keys=tmp_path, **given))


@given(st.text(max_size=60), st.integers(0, 3))
def test_rubbish_is_none(rubbish: str, place: int) -> None:
    auth = AuthConfig(jwt_issuer="https://id.example", jwt_audience="fleet")
    parts = signed().split(".")
    parts[place : place + 1] = [rubbish]
    read = WebTokens([Key(P256.public_key(), frozenset({"ES256"}), None)], auth)
    assert read.find(".".join(parts)) is None


def test_a_nested_or_huge_token_is_none(tokens: Callable[..., WebTokens]) -> None:
    read = tokens(pem(P256))
    deep = base64.urlsafe_b64encode(b"[" * 2900).rstrip(b"=").decode()
    for token in (None, "", "a.b", "a.b.c.d", f"{deep}.e30.AA", "x" * (MAX_WEB_TOKEN + 1)):
        assert read.find(token) is None
    assert read.find(signed(more="x" * MAX_WEB_TOKEN)) is None


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a signature was verified of, from now on."""
    verified: list[str] = []
    verify = jwt.PyJWS.decode_complete

    def count(self: jwt.PyJWS, data: Any, *args: Any, **options: Any) -> Any:
        if options.get("algorithms"):
            verified.append(data)
        return verify(self, data, *args, **options)

    monkeypatch.setattr(jwt.PyJWS, "decode_complete", count)
    return verified


def test_a_signature_is_verified_once_whatever_is_asked_of_its_token(
    tokens: Callable[..., WebTokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = tokens(pem(P256))
    verified = counting(monkeypatch)
    good, bad = signed(), signed(ec.generate_private_key(ec.SECP256R1()))
    for _ in range(3):
        assert read.find(good) is not None
        assert read.find(bad) is None
        assert read.why_not(bad) == "no key of auth.jwt_keys has signed it"
    assert verified == [good, bad]


def test_a_token_that_was_good_is_none_when_its_time_is_over(
    tokens: Callable[..., WebTokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = tokens(pem(P256), jwt_leeway="0s")
    verified = counting(monkeypatch)
    token = signed(exp=int(time.time()) + 2)
    assert read.find(token) is not None
    wait_until(lambda: read.find(token) is None, "its end")
    assert read.why_not(token) == "it has expired"
    assert verified == [token]


@pytest.mark.parametrize(
    "token",
    [
        signed(exp=1),
        signed(nbf=int(time.time()) + 86_400),
        signed(aud="shop"),
        signed(iss="https://evil.example"),
        signed(role="king"),
        signed(sub=None),
        signed(SECRET, "HS256"),
        signed(headers={"crit": ["x"]}),
        "a.b.c",
    ],
)
def test_what_needs_no_signature_to_be_refused_costs_none(
    tokens: Callable[..., WebTokens], monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    read = tokens(pem(P256))
    verified = counting(monkeypatch)
    assert read.find(token) is None
    assert verified == []


@pytest.mark.parametrize(
    ("curve", "algorithm", "most"),
    [(ec.SECP256R1(), "ES256", 2), (ec.SECP384R1(), "ES384", 1), (ec.SECP521R1(), "ES512", 1)],
)
def test_a_token_is_tried_with_the_key_that_it_names_or_with_few(
    tokens: Callable[..., WebTokens],
    monkeypatch: pytest.MonkeyPatch,
    curve: ec.EllipticCurve,
    algorithm: str,
    most: int,
) -> None:
    keys = [ec.generate_private_key(curve) for _ in range(most + 2)]
    own, other = keys[0], keys[-1]
    named = [jwk(algorithm, key, kid=f"k{number}") for number, key in enumerate(keys[:-1])]
    many, few = (tokens(json.dumps({"keys": some})) for some in (named, named[:most]))
    verified = counting(monkeypatch)
    assert many.find(signed(other, algorithm, headers={"kid": "k1"})) is None
    assert len(verified) == 1
    assert few.find(signed(other, algorithm)) is None
    assert len(verified) == 1 + most
    # One of them has signed it: which are tried of too many is not left to chance.
    assert "by kid which" in many.why_not(signed(own, algorithm))
    assert len(verified) == 1 + most
    assert many.find(signed(own, algorithm, headers={"kid": "k0"})) is not None


@pytest.mark.parametrize(("algorithm", "most"), [("ES256", 2), ("ES384", 1), ("ES512", 1)])
def test_a_file_has_no_more_keys_of_one_name_than_a_token_is_tried_with(
    tokens: Callable[..., WebTokens], algorithm: str, most: int
) -> None:
    curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
    keys = [ec.generate_private_key(curve) for _ in range(most + 1)]
    with pytest.raises(ConfigError, match=f"{most + 1} keys without a name for {algorithm}"):
        tokens("".join(pem(key) for key in keys))
    alike = [jwk(algorithm, key, kid="k") for key in keys]
    with pytest.raises(ConfigError, match=f"{most + 1} keys named 'k' for {algorithm}"):
        tokens(json.dumps({"keys": alike}))
    assert tokens("".join(pem(key) for key in keys[:most])).find(signed(keys[0], algorithm))


def test_what_is_remembered_of_signatures_is_bounded() -> None:
    seen = _Seen(3)
    for digest in (b"1", b"2", b"3"):
        seen.add(digest)
    assert b"1" in seen, "and the last that was asked for stays longest"
    seen.add(b"4")
    assert [digest in seen for digest in (b"1", b"2", b"3", b"4")] == [True, False, True, True]
