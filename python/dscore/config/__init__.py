"""Settings: what they are, where they come from, how they are shown and compared.

Owners: `models` has names, defaults and bounds; `loading` the file, the environment and the flags;
`effective` what `config check` prints and what a reload may change.
"""

from dscore.config.durations import format_duration, parse_duration
from dscore.config.effective import RELOADABLE, Changes, Row, compare, merge_live, rows
from dscore.config.loading import Loaded, load
from dscore.config.models import (
    AuthConfig,
    CompatConfig,
    Config,
    HealthConfig,
    LimitsConfig,
    ListenConfig,
    LogConfig,
    MonitoringConfig,
    SessionConfig,
    ShutdownConfig,
    SocketConfig,
    SocketioConfig,
    StoreConfig,
    TlsConfig,
)

__all__ = [
    "RELOADABLE",
    "AuthConfig",
    "Changes",
    "CompatConfig",
    "Config",
    "HealthConfig",
    "LimitsConfig",
    "ListenConfig",
    "Loaded",
    "LogConfig",
    "MonitoringConfig",
    "Row",
    "SessionConfig",
    "ShutdownConfig",
    "SocketConfig",
    "SocketioConfig",
    "StoreConfig",
    "TlsConfig",
    "compare",
    "format_duration",
    "load",
    "merge_live",
    "parse_duration",
    "rows",
]
