"""The agent: GStreamer programs that reconnect well and stop cleanly.

    from dscore.agent import Agent, load

    agent = Agent(load("websocket_config.txt"), on_terminate=stop)
    exit_code = await agent.run()

A program with a loop of its own that is not asyncio's takes `dscore.agent.embed`. Nothing here
needs the core; a box installs `dscore[agent]`.
"""

from dscore.agent.client import Agent
from dscore.agent.config import AgentConfig, load
from dscore.agent.reconnect import ReconnectPolicy
from dscore.agent.status import Exit, State, Status
from dscore.agent.termination import TerminateAnswer, TerminateRequest

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
