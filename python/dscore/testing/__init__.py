"""For the tests of programs that are built on dscore.

A real server with real agents, on a free loopback port, in memory, gone at the end:

    async with testing.fleet("cam-1", policy=Cameras()) as fleet:
        await fleet["cam-1"].send("detections", objects=["car"])
        report = await fleet.drain()

A policy alone, without sockets, server or waiting:

    rehearsal = testing.Rehearsal(Cameras())
    await rehearsal.introduce("cam-1")
    assert await rehearsal.message("cam-1", "detections", objects=["car"]) is None

Nothing here needs a test framework.
"""

from dscore.testing.fleet import Fleet, FleetAgent, fleet
from dscore.testing.rehearsal import Rehearsal

__all__ = ["Fleet", "FleetAgent", "Rehearsal", "fleet"]
