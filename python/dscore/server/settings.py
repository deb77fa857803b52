"""The settings that are in force, what is read for them, and how others take their place."""

from types import ModuleType
from typing import TYPE_CHECKING, cast

from dscore.auth import read_keyring
from dscore.config import Changes, Config, compare, merge_live
from dscore.log import get_logger
from dscore.policy import Policy
from dscore.policy.liveness import configure
from dscore.server.core_settings import core_settings
from dscore.server.own_token import OwnToken, warn_of_readable_files
from dscore.server.tls import Tls
from dscore.server.wiring import Parts, access_rules

if TYPE_CHECKING:
    from dscore._core import CoreConfig

_log = get_logger("dscore.server")


class Settings:
    """One server's."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        core: ModuleType,
        *,
        has_guest: bool,
        passed_socket: bool,
    ) -> None:
        """Reads the token files.

        Raises:
            ConfigError: one of them cannot be read.
        """
        self.config = config
        self.keyring = read_keyring(config.auth)
        self.max_connections = 0
        """Known once the core has its own."""
        self.failed_reloads_total = 0
        self._policy, self._core = policy, core
        self._of_server = {"has_guest": has_guest, "passed_socket": passed_socket}

    def of_core(self, config: Config) -> "CoreConfig":
        """What the core is told.

        Raises:
            ValueError: it does not take a setting, or a namespace.
        """
        settings = core_settings(config, self._policy, **self._of_server)
        return cast("CoreConfig", self._core.CoreConfig(**settings))

    def reload(self, config: Config, parts: Parts, tls: Tls, own_token: OwnToken) -> Changes:
        """Takes over what can be changed while running; counts where nothing could.

        Raises:
            ConfigError, ValueError: as `Server.reload`.
        """
        try:
            return self._take_over(config, parts, tls, own_token)
        except Exception:
            self.failed_reloads_total += 1
            raise

    def _take_over(self, config: Config, parts: Parts, tls: Tls, own_token: OwnToken) -> Changes:
        live = parts.live
        # What needs a restart stays as it is everywhere: none of it may be in force by half.
        merged = merge_live(self.config, config)
        keyring = read_keyring(merged.auth)
        warn_of_readable_files(merged.auth)
        core_config = self.of_core(merged)
        live.pool.configure(core_config)
        # Where that failed, what was read before is in force, and agents are judged by it.
        before = {} if tls.reload(merged, live) else {"tls": self.config.tls}
        config, merged = config.model_copy(update=before), merged.model_copy(update=before)
        changes = compare(self.config, config)
        self.max_connections = core_config.max_connections
        live.config = self.config = merged
        live.take_over_settings()
        configure(live.fleet, merged.monitoring)
        live.keyring = own_token.unless(keyring, live.pool.address())
        parts.pages.rules = access_rules(live)
        applied, waiting = list(changes.live), list(changes.needs_restart)
        _log.info("config_reloaded", applied=applied, needs_restart=waiting)
        return changes
