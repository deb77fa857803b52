"""What a TLS handshake that failed means, in a sentence that says what to do."""

import ssl

from dscore_agent.pins import FingerprintError

_PLAIN = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""OpenSSL's names for an answer that is no TLS record; they differ between its versions."""
NOT_YET_VALID, EXPIRED = 9, 10
"""X509_V_ERR_…, as in X509_verify(3ssl)."""
_UNKNOWN = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 63, 64})
_VERIFIED = {
    23: "the server's certificate was revoked: the server needs a new one",
    26: "the server's certificate is not one for servers: the server needs another one",
}
_REFUSED = "the server refuses {own}: is it one of X.509 version 3 (docs/tls.md has the commands)?"
_ALERTS = {
    "CERTIFICATE_REQUIRED": "the server wants a client certificate: {give}",
    "UNKNOWN_CA": "the server does not know the authority of {own}",
    "BAD_CERTIFICATE": _REFUSED,
    "CERTIFICATE_UNKNOWN": _REFUSED,
    "UNSUPPORTED_CERTIFICATE": "the server refuses {own}: is it one for clients?",
    "CERTIFICATE_EXPIRED": "{own} has expired: put a new one there, it is read anew",
    "CERTIFICATE_REVOKED": "{own} was revoked: put a new one there, it is read anew",
    "ACCESS_DENIED": "the server lets {own} in nowhere",
    "PROTOCOL_VERSION": "the server wants another version of TLS than this machine's OpenSSL has",
    "UNSUPPORTED_PROTOCOL": "the server's TLS is older than this machine's OpenSSL takes",
    "HANDSHAKE_FAILURE": "the server and this machine's OpenSSL have no cipher in common",
    "UNRECOGNIZED_NAME": "the server has no certificate for this name: is the url right?",
}
"""By how OpenSSL's names of the alerts end; what they begin with differs between its versions."""


def is_plain_answer(error: BaseException) -> bool:
    """The server answered a handshake without TLS: its port is a plain one."""
    return isinstance(error, ssl.SSLError) and error.reason in _PLAIN


def is_about_dates(error: BaseException) -> bool:
    """The server's certificate is not valid now, or this machine's clock is wrong."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in (
        NOT_YET_VALID,
        EXPIRED,
    )


def is_unknown_authority(error: BaseException) -> bool:
    """The server's certificate is signed by an authority that is not trusted here."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _UNKNOWN


def sentence(
    error: BaseException,
    host: str,
    own: str = "this agent's cert_file",
    give: str = "set cert_file and key_file",
) -> str | None:
    """What a failed handshake means; None: it is none of the usual failures.

    Args:
        error: What the handshake ended with.
        host: The name, or the address, that the server was asked by.
        own: What a client's certificate is called where it was set.
        give: How to set one.
    """
    if is_plain_answer(error):
        return "it does not speak TLS; use ws://"
    if isinstance(error, FingerprintError):
        return (
            f"the server's certificate is none of server_fingerprints, its own is {error.found}: "
            "was it renewed, or is it another server?"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_verification(error, host)
    if isinstance(error, ssl.SSLError) and error.reason:
        ends = (words for name, words in _ALERTS.items() if error.reason.endswith(name))
        words = next(ends, None)
        return None if words is None else words.format(own=own, give=give)
    return None


def _of_verification(error: ssl.SSLCertVerificationError, host: str) -> str | None:
    code, words = error.verify_code, error.verify_message
    if code in _UNKNOWN:
        return (
            f"the authority of the server's certificate is not trusted here ({words}): set ca_file "
            "to its certificate"
        )
    if code in _OTHER_NAME:
        return (
            f"the server's certificate is for other names than {host} ({words}): is the url right?"
        )
    if code == EXPIRED:
        return "the server's certificate has expired, by this machine's clock"
    if code == NOT_YET_VALID:
        return "the server's certificate is not valid yet, by this machine's clock"
    return _VERIFIED.get(code)
