"""Token, certificates and trusted authorities: read anew before each attempt.

Tokens are rotated and certificates renewed while a pipeline records for months. What cannot be read
at the moment (half of it is written) leaves the former credentials in force.
"""

import ssl
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from dscore_agent import files
from dscore_agent.config import AgentConfig, read_token
from dscore_agent.errors import ConfigError

_CERTIFICATE = (b"CERTIFICATE-----", "certificate")
_KEY = (b"PRIVATE KEY-----", "private key")
"""What a file must hold: how its label ends (RFC 7468), before which stands of which kind it is."""


@dataclass(frozen=True)
class Credentials:
    """One reading.

    Attributes:
        token: Shown in the introduction; None: there is none.
        tls: What wss and https need; None for an address without encryption.
        digest: Of all that was read: two that differ are different credentials.
    """

    token: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    digest: bytes


def read_credentials(config: AgentConfig) -> Credentials:
    """Reads the token file, the certificates and the key. Blocks.

    Raises:
        ConfigError: One of them cannot be used; says which.
    """
    digest = blake2b()
    for content in _tls_files(config):
        digest.update(blake2b(content).digest())
    token = config.token if config.token_file is None else _token(config.token_file)
    digest.update((token or "").encode(errors="surrogatepass"))
    return Credentials(token, tls_context(config), digest.digest())


def tls_context(config: AgentConfig) -> ssl.SSLContext | None:
    """What wss and https need; None for an address without encryption.

    Raises:
        ConfigError: A certificate or key cannot be used.
    """
    if not config.is_secure:
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:  # An SSLError is one too.
        raise ConfigError(f"ca_file: cannot use {config.ca_file}: {error}") from None
    if config.cert_file is not None:
        try:
            context.load_cert_chain(config.cert_file, config.key_file)
        except OSError as error:
            raise ConfigError(f"cert_file: cannot use {config.cert_file}: {error}") from None
    return context


def _tls_files(config: AgentConfig) -> tuple[bytes, bytes, bytes]:
    """What the settings for TLS name; nothing: b"".

    Whatever the address: a wrong file is to be known before the day on which it becomes wss://.
    """
    authorities = _content("ca_file", config.ca_file, _CERTIFICATE)
    certificate = _content("cert_file", config.cert_file, _CERTIFICATE)
    key = _content("key_file", config.key_file, _KEY)
    if config.cert_file is not None and _KEY[0] not in key + certificate:
        words = "there is no private key in it: set key_file"
        raise ConfigError(f"cert_file: cannot use {config.cert_file}: {words}")
    return authorities, certificate, key


def _content(setting: str, path: Path | None, held: tuple[bytes, str]) -> bytes:
    if path is None:
        return b""
    begin, what = held
    try:
        content = files.read(path, files.MAX_CERTIFICATE)
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise ConfigError(f"{setting}: cannot use {path}: {cause}") from None
    if begin not in content:
        raise ConfigError(f"{setting}: cannot use {path}: there is no {what} in it (PEM)")
    return content


def _token(path: Path) -> str:
    try:
        return read_token(path)
    except ValueError as error:
        raise ConfigError(f"token_file: {error}") from None
