"""Agents over Socket.IO: acks both ways, bytes in messages, a namespace of one's own.

    python examples/socketio_policy.py --port 8765

Any Socket.IO client will do, from version 2 on; in JavaScript:

    const socket = io("http://127.0.0.1:8765")
    socket.on("take_snapshot", (wish, answer) => answer({ jpeg: camera.picture(wish.width) }))
    socket.on("connect", () => {
        socket.emit("heartbeat", { clientName: "cam-1" })  // who it is, before anything else
        socket.emit("picture", { jpeg: camera.picture() }, (stored) => console.log(stored.bytes))
    })

    io("http://127.0.0.1:8765/telemetry").emit("reading", { celsius: 41 })

What is emitted outside of "connect" leaves before the heartbeat: it is refused, `error`
"not_introduced", and acked with nothing. The second io() shares the first one's connection.

Every camera that comes in is asked for a snapshot. SIGTERM or Ctrl-C drains the fleet and ends.
"""

import argparse
import asyncio
import signal
import sys
from typing import Any

import dscore


class Cameras(dscore.Policy):
    # Clients that ask for any other namespace are told "Invalid namespace".
    namespaces = ("/telemetry",)

    async def on_connect(self, agent: dscore.Agent) -> None:
        try:
            answer = await agent.request("take_snapshot", {"width": 640}, timeout=5)
        except dscore.RequestError as error:
            # It speaks the raw dialect, is too slow, has gone: the error says which.
            print(error, flush=True)
        else:
            print(f"{agent.id} sent a snapshot of {len(answer['jpeg'])} bytes", flush=True)

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
        """What is returned is the ack; without a return value the ack is empty."""
        if kind == "picture":
            return {"bytes": len(message["jpeg"])}
        return None

    def on_namespace_message(
        self, agent: dscore.Agent, namespace: str, kind: str, message: dict[str, Any]
    ) -> None:
        print(f"{agent.id} {namespace} {kind}: {message}", flush=True)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8765)
    port = parser.parse_args().port

    config = dscore.Config.model_validate({"listen": {"port": port}})
    async with dscore.Server(config, policy=Cameras()) as server:
        print("listening on http://{}:{}".format(*server.address), flush=True)
        # For POST and DELETE of /api/v1: `dscore drain --token TOKEN`.
        print(f"operator's token: {server.operator_token}", flush=True)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # POST /api/v1/drain ends the program as well as a signal does.
        drained = asyncio.create_task(server.wait())
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait({drained, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        # The clients hear why, and that they should come back.
        server.fleet.broadcast({"type": "news", "text": "back in a minute"}, to="all")
        await server.drain(intent="restart")
        return await drained


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
