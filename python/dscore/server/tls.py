"""The certificates of a server: read at its start, read again by SIGHUP, told of as metrics."""

from types import ModuleType
from typing import TYPE_CHECKING

from dscore.config import Config
from dscore.log import get_logger

if TYPE_CHECKING:
    from dscore._core import ReactorPool
    from dscore._core import TlsConfig as Handshakes
    from dscore.server.live import Live

_log = get_logger("dscore.tls")


class Tls:
    """What handshakes are done by at present; nothing where no certificate is configured."""

    def __init__(self, core: ModuleType) -> None:
        self._core = core
        self.handshakes: Handshakes | None = None
        self.address: tuple[str, int] | None = None
        """Where TLS is spoken; None: nowhere, or not yet."""

    def load(self, config: Config) -> None:
        """Reads the files of the settings.

        Raises:
            ValueError: one of them is not fit.
        """
        if config.tls.certificates:
            self.handshakes = self._read(config)
            self._warn(self.handshakes)

    def started(self, pool: "ReactorPool") -> dict[str, str | int]:
        """Notes where a pool listens; what the log is to tell of that."""
        host, port = pool.address()
        if self.handshakes is None:
            return {"host": host, "port": port}
        self.address = pool.tls_address() or (host, port)
        return {"host": host, "port": port, "tls_port": self.address[1]}

    def reload(self, config: Config, live: "Live") -> bool:
        """Reads them again, for all handshakes to come. Where one is not fit, what was read before
        goes on in force: a renewal that went wrong must not end a fleet's connections.

        Returns:
            Whether the settings are in force.
        """
        if self.handshakes is None:
            return not config.tls.certificates
        try:
            renewed = self._read(config)
        except ValueError as error:
            live.counters.tls_reload_failures_total += 1
            _log.error(
                "tls_reload_failed", reason=str(error), effect="the old certificates stay in force"
            )
            return False
        self.handshakes = renewed
        live.pool.certify(renewed)
        self._warn(renewed)
        _log.info("tls_reloaded", certificates=[path for path, _ in renewed.certificates])
        return True

    def certificates(self) -> list[tuple[str, int]]:
        """The files, and when what they hold ends, in Unix seconds."""
        return [] if self.handshakes is None else self.handshakes.certificates

    def _read(self, config: Config) -> "Handshakes":
        tls = config.tls
        handshakes: Handshakes = self._core.TlsConfig(
            tls.pairs,
            client_ca=None if tls.client_ca is None else str(tls.client_ca),
            client_auth=tls.client_auth,
            client_crl=list(tls.client_crl),
            ticket_keys=None if tls.ticket_keys is None else str(tls.ticket_keys),
            record_layer=tls.record_layer,
            previous=self.handshakes,
        )
        return handshakes

    def _warn(self, handshakes: "Handshakes") -> None:
        for warning in handshakes.warnings:
            _log.warning("tls_warning", warning=warning)
