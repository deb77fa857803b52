"""What a TLS handshake that failed means."""

import ssl

_PLAIN = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""OpenSSL's names for an answer that is no TLS record; they differ between its versions."""


def is_plain_answer(error: BaseException) -> bool:
    """The server answered a handshake without TLS: its port is a plain one."""
    return isinstance(error, ssl.SSLError) and error.reason in _PLAIN
