"""Token, certificates and trusted authorities: read anew before each attempt.

Tokens are rotated and certificates renewed while a pipeline records for months. What cannot be read
at the moment (half of it is written) leaves the former credentials in force.
"""

import ssl
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from dscore_agent.config import AgentConfig, read_token
from dscore_agent.errors import ConfigError


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
    files = (config.ca_file, config.cert_file, config.key_file) if config.is_secure else ()
    for path in files:
        digest.update(b"" if path is None else blake2b(_content(path)).digest())
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


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # The context says what is wrong with it, and by which setting.


def _token(path: Path) -> str:
    try:
        return read_token(path)
    except ValueError as error:
        raise ConfigError(f"token_file: {error}") from None
