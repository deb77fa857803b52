"""Every message of the wire that Python reads or writes (PROTOCOL.md §2-§4).

The only home of the wire's camelCase names: `inbound` has what agents and watchers say,
`outbound` what they are told. Both dialects use the same objects.
"""

from dscore.messages.attachments import attach, detach
from dscore.messages.inbound import (
    MAX_TOKEN,
    AppReady,
    ClientStatusRequest,
    Heartbeat,
    Inbound,
    ReconnectionSuccess,
    Refusal,
    Watch,
    WatchFilter,
    parse,
    parse_object,
)
from dscore.messages.outbound import (
    AppReadyAck,
    ClientReconnected,
    ClientStatusChanged,
    DrainProgress,
    HeartbeatResponse,
    Intent,
    MaintenanceChanged,
    ReasonCode,
    ReconnectionAck,
    RefusalCode,
    ServerShutdown,
    ServerStatusResponse,
    Status,
    timestamp,
    timestamp_now,
)

__all__ = [
    "MAX_TOKEN",
    "AppReady",
    "AppReadyAck",
    "ClientReconnected",
    "ClientStatusChanged",
    "ClientStatusRequest",
    "DrainProgress",
    "Heartbeat",
    "HeartbeatResponse",
    "Inbound",
    "Intent",
    "MaintenanceChanged",
    "ReasonCode",
    "ReconnectionAck",
    "ReconnectionSuccess",
    "Refusal",
    "RefusalCode",
    "ServerShutdown",
    "ServerStatusResponse",
    "Status",
    "Watch",
    "WatchFilter",
    "attach",
    "detach",
    "parse",
    "parse_object",
    "timestamp",
    "timestamp_now",
]
