"""The server: what a program, the pages and the command line talk to, and the parts that decide.

Everything runs on one event loop. The parts, in the order a connection meets them: `dispatch` (each
event to its part), `introductions` (may it come in), `welcome` (it does), `conversations` (what it
says), `timers` (how long it may be away), `terminations` and `draining` (how it ends); `watchers`
hear of it all, `recorder` and `keeping` write it down, and `context` is what they share. `parts`
wires them, `server` owns them all.
"""

from dscore.server.agents import Agent, Outbox, Termination
from dscore.server.server import Server

__all__ = ["Agent", "Outbox", "Server", "Termination"]
