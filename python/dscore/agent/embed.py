"""`dscore_agent.embed` under its former name."""

from dscore_agent.embed import AgentThread, start

__all__ = ["AgentThread", "start"]
