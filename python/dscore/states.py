"""The words of the tables: what an agent can be, what happens to it, and how a termination ends.

The core walks the tables by these, so they stand below both its stub and the policy.
"""

from typing import Literal, TypeAlias

State: TypeAlias = Literal[
    "connected", "late", "terminating", "reconnecting", "unknown", "offline", "terminated"
]
Input: TypeAlias = Literal[
    "introduced",
    "beat",
    "missed",
    "missed_limit",
    "lost",
    "timed_out",
    "grace_over",
    "terminate_sent",
    "terminate_over",
    "terminated",
    "removed",
    "restored",
]
Grace: TypeAlias = Literal["keep", "cancel", "heartbeat", "reconnection", "boot"]
OutcomeName: TypeAlias = Literal["acked", "failed", "timed_out", "vanished", "notified"]
