"""The agent under its former name: it is the package `dscore_agent`, which needs no `dscore`.

`dscore.agent.embed` and `dscore.agent.pipeline` are its modules of these names.
"""

from dscore_agent import (
    Agent,
    AgentConfig,
    AgentError,
    ConfigError,
    Exit,
    PipelineError,
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
    "AgentError",
    "ConfigError",
    "Exit",
    "PipelineError",
    "ReconnectPolicy",
    "State",
    "Status",
    "TerminateAnswer",
    "TerminateRequest",
    "load",
]
