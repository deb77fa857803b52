"""Servers that are known by the fingerprints of their certificates, besides who has signed them.

Looked at behind the upgrade, before anything is said of the agent: a token least of all. The health
page is asked without: it is told nothing.
"""

import ssl
from hashlib import sha256

_DIGITS = 64


class FingerprintError(ssl.SSLError):
    """A server has shown a certificate that is none of those."""

    def __init__(self, found: str) -> None:
        super().__init__(1, f"a certificate with the fingerprint {found}")
        # OpenSSL's own errors have one, and are told apart by it.
        self.reason = "FINGERPRINT"
        self.found = found


def parse(text: str) -> tuple[str, ...]:
    """SHA-256 of certificates, with commas between: hexadecimal, with colons or without.

    Raises:
        ValueError: One of them is none.
    """
    pins = [word.strip().replace(":", "").lower() for word in text.split(",") if word.strip()]
    for pin in pins:
        if len(pin) != _DIGITS or not set(pin) <= set("0123456789abcdef"):
            raise ValueError(
                f"{pin[:80]} is no SHA-256 of a certificate: 64 hexadecimal digits, as `openssl "
                "x509 -noout -fingerprint -sha256` prints them"
            )
    return tuple(dict.fromkeys(pins))


def check(handshake: ssl.SSLObject, pins: tuple[str, ...]) -> None:
    """Looks at what a server has shown.

    Raises:
        FingerprintError: None of the pins is its.
    """
    found = sha256(handshake.getpeercert(binary_form=True) or b"").hexdigest()
    if found not in pins:
        raise FingerprintError(found)
