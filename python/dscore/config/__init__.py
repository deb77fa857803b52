"""Settings: what they are (`models`), where they come from (`loading`), how they are shown and compared (`effective`)."""

from dscore.config.durations import format_duration, parse_duration
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
)

__all__ = [
    "AuthConfig",
    "CompatConfig",
    "Config",
    "HealthConfig",
    "LimitsConfig",
    "ListenConfig",
    "LogConfig",
    "MonitoringConfig",
    "SessionConfig",
    "ShutdownConfig",
    "SocketConfig",
    "SocketioConfig",
    "StoreConfig",
    "format_duration",
    "parse_duration",
]
