"""What an attempt needs of the server: credentials, its health, and the connection itself.

All of it is read and resolved anew for each attempt: files are rotated, addresses move.
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import quote

from dscore_agent import health
from dscore_agent.config import AgentConfig
from dscore_agent.credentials import Credentials, read_credentials
from dscore_agent.dial import Dialer
from dscore_agent.errors import ConfigError
from dscore_agent.health import HealthCheck
from dscore_agent.log import Log
from dscore_agent.thread import SharedCalls
from dscore_agent.timeout import timeout
from dscore_agent.wire import Connection, open_connection

CREDENTIALS_SECONDS = 5.0
"""For reading the files; a disk that hangs leaves the former credentials in force."""

_log = Log("dscore.agent")


class Gateway:
    """Reaches one server for one agent."""

    def __init__(self, config: AgentConfig) -> None:
        """Opens nothing, reads nothing."""
        self._config = config
        self._dialer = Dialer(config.proxy)
        self._readings = SharedCalls("dscore-agent-credentials")
        self._credentials: Credentials | None = None

    def open(self) -> None:
        """Reads the credentials for the first time.

        Raises:
            ConfigError: One of them cannot be used.
        """
        self._credentials = self._read()

    def close(self) -> None:
        """Cancels what still waits."""
        self._dialer.close()
        self._readings.close()

    @property
    def token(self) -> str | None:
        """The token of the last reading."""
        return None if self._credentials is None else self._credentials.token

    async def renew(self) -> bool:
        """Reads the credentials anew; True: they are different now.

        What cannot be used leaves the former ones in force, with a warning.
        """
        try:
            async with timeout(CREDENTIALS_SECONDS):
                credentials = await self._readings.call(self._read)
        except asyncio.TimeoutError:
            _log.warning("credentials_unreadable", reason="their files cannot be read in time")
            return False
        except ConfigError as error:
            _log.warning("credentials_unreadable", reason=str(error))
            return False
        former, self._credentials = self._credentials, credentials
        return former is not None and former.digest != credentials.digest

    async def check_health(self, *, about: str | None = None) -> HealthCheck:
        """Asks the health page.

        Args:
            about: The instance whose connection is asked about.
        """
        config = self._config
        query = "" if about is None else f"?instance_id={quote(about, safe='')}"
        url, seconds = config.health_url + query, config.health_check_timeout
        return await health.check(url, seconds, self._tls, self._dialer)

    async def connect(
        self, on_message: Callable[[bytes], None], on_writable: Callable[[], None]
    ) -> Connection:
        """Connects and upgrades. See `open_connection`."""
        return await open_connection(
            self._config, self._tls, self._dialer, on_message=on_message, on_writable=on_writable
        )

    def _read(self) -> Credentials:
        return read_credentials(self._config)

    @property
    def _tls(self) -> ssl.SSLContext | None:
        return None if self._credentials is None else self._credentials.tls
