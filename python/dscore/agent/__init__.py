"""The agent under its former name: it is the package `dscore_agent`, which needs no `dscore`.

`dscore.agent.embed` and `dscore.agent.pipeline` are its modules of these names.
"""

from dscore_agent import (
    Agent,
    AgentConfig,
    Exit,
    ReconnectPolicy,
    State,
    Status,
    TerminateAnswer,
    TerminateRequest,
    load,
)

__all__ = [
    "Agent",
    "AgentConfig",
    "Exit",
    "ReconnectPolicy",
    "State",
    "Status",
    "TerminateAnswer",
    "TerminateRequest",
    "load",
]
