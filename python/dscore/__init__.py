"""dscore: the connection core for large fleets of GStreamer edge agents.

    async with dscore.Server(config, policy=MyPolicy(), app=my_asgi_app) as server:
        await server.wait()

`dscore.core` is the bare core, for a program that brings its own decisions.
"""

# Not of `typing`, which takes longer to import than all of `dscore.cli.startup`: until that has
# run a signal kills the program.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dscore import core
    from dscore._core import __version__
    from dscore.config import Config
    from dscore.errors import (
        AdmissionError,
        AgentError,
        BindError,
        ConfigError,
        ConnectionLostError,
        CoreError,
        DrainingError,
        DscoreError,
        ForkedError,
        LifespanError,
        NoAcksError,
        NotConnectedError,
        NotKeptError,
        PolicyError,
        PoolClosedError,
        RequestError,
        RequestTimeoutError,
        StoreError,
        TooManyRequestsError,
        UnknownAgentError,
    )
    from dscore.policy import Candidate, Policy
    from dscore.policy.agent import Agent, Termination
    from dscore.policy.drain import DrainReport, DrainStatus
    from dscore.server import Server
    from dscore.store import MemoryStore, Store, open_store

__all__ = [
    "AdmissionError",
    "Agent",
    "AgentError",
    "BindError",
    "Candidate",
    "Config",
    "ConfigError",
    "ConnectionLostError",
    "CoreError",
    "DrainReport",
    "DrainStatus",
    "DrainingError",
    "DscoreError",
    "ForkedError",
    "LifespanError",
    "MemoryStore",
    "NoAcksError",
    "NotConnectedError",
    "NotKeptError",
    "Policy",
    "PolicyError",
    "PoolClosedError",
    "RequestError",
    "RequestTimeoutError",
    "Server",
    "Store",
    "StoreError",
    "Termination",
    "TooManyRequestsError",
    "UnknownAgentError",
    "__version__",
    "core",
    "open_store",
]

_HOMES = {
    "Agent": "policy.agent",
    "Candidate": "policy",
    "Config": "config",
    "DrainReport": "policy.drain",
    "DrainStatus": "policy.drain",
    "MemoryStore": "store",
    "Policy": "policy",
    "Server": "server",
    "Store": "store",
    "Termination": "policy.agent",
    "__version__": "_core",
    "open_store": "store",
}


def __getattr__(name: str) -> "Any":
    # On first use, not on import: a program that needs one part does not load the others, the core
    # above all.
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "core":
        return import_module("dscore.core")
    value = getattr(import_module(f"dscore.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
