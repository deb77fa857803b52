"""The agent: GStreamer programs that reconnect well and stop cleanly.

    from dscore_agent import Agent, load

    agent = Agent(load("websocket_config.txt"), on_terminate=stop)
    exit_code = await agent.run()

A program with a loop of its own that is not asyncio's takes `dscore_agent.embed`, one with a
GStreamer pipeline `dscore_agent.pipeline`; `python -m dscore_agent` is a program as it is. Nothing
here needs the server's package, `dscore`.
"""

# Not of `typing`: the command takes signals before any large import (`cli.startup`), and this
# module runs before it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dscore_agent.client import Agent
    from dscore_agent.config import AgentConfig, load
    from dscore_agent.errors import AgentError, ConfigError, PipelineError
    from dscore_agent.reconnect import ReconnectPolicy
    from dscore_agent.status import Exit, State, Status
    from dscore_agent.termination import TerminateAnswer, TerminateRequest

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

_HOMES = {
    "Agent": "client",
    "AgentConfig": "config",
    "AgentError": "errors",
    "ConfigError": "errors",
    "Exit": "status",
    "PipelineError": "errors",
    "ReconnectPolicy": "reconnect",
    "State": "status",
    "Status": "status",
    "TerminateAnswer": "termination",
    "TerminateRequest": "termination",
    "load": "config",
}


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
