"""A store that knows many agents: what a server is started with that has met them before."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from websockets.sync.client import connect

from serving import Serving

ITS_OWN = {"agent_id": "'known-' || n", "number": "number + n"}
"""Columns in which no two agents are alike."""


def fill_store(serve: Callable[..., Serving], directory: Path, agents: int) -> None:
    """Leaves a store in `directory` that knows so many agents, all of them offline.

    One agent is introduced to a server and has left it; the others are rows like its own.
    """
    first = serve(directory=directory)
    with connect(first.ws) as agent:
        agent.send(json.dumps({"type": "app_ready", "instance_id": "known-0"}))
        agent.recv(timeout=10)
    first.stop()
    with closing(sqlite3.connect(directory / "dscore.db")) as store, store:
        columns = [row[1] for row in store.execute("PRAGMA table_info(agents)")]
        values = [ITS_OWN.get(one, one) for one in columns]
        store.execute(
            f"WITH RECURSIVE numbers (n) AS"
            f" (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
            f" INSERT INTO agents ({', '.join(columns)})"
            f" SELECT {', '.join(values)} FROM agents, numbers WHERE agent_id = 'known-0'",
            (agents - 1,),
        )
