"""The agent: GStreamer programs that reconnect well and stop cleanly.

    from dscore_agent import Agent, load

    agent = Agent(load("websocket_config.txt"), on_terminate=stop)
    exit_code = await agent.run()

A program with a loop of its own that is not asyncio's takes `dscore_agent.embed`. Nothing here
needs the core; a box installs `dscore[agent]`.
"""

from dscore_agent.client import Agent
from dscore_agent.config import AgentConfig, load
from dscore_agent.reconnect import ReconnectPolicy
from dscore_agent.status import Exit, State, Status
from dscore_agent.termination import TerminateAnswer, TerminateRequest

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
