"""The server: what a program, the pages and the command line talk to, and the parts that decide.

Everything runs on one event loop. The parts, in the order a connection meets them: `dispatch` (each
event to its part), `admission` (whether it becomes an agent or a watcher), `messages` (what it
says), `outgoing` and `acks` (what it is told and asked), `timers` (how long it may be away),
`terminations` and `drain` (how it ends); `watchers` hear of it all, `timeline` writes it down,
`restore` takes up what an earlier process has left, and `live` is what they share.
`wiring` puts them together, `fleet` is what programs do with agents, `server` owns them all. Few of
them ask which dialect a connection speaks: the core makes the same messages of both.
"""

from dscore.policy.agent import Agent, Outbox, Termination
from dscore.server.server import Server

__all__ = ["Agent", "Outbox", "Server", "Termination"]
