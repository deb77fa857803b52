"""Own decisions and own pages beside dscore's, on one port.

    python examples/policy_and_fastapi.py --port 8765

Agents whose id begins with "cam-" are let in. What they report as `detections` is counted, and
http://127.0.0.1:8765/detections shows it; a WebSocket at /detections/live answers each message
with it; a POST to /agents/{id}/snapshot asks one of them for a picture. SIGTERM or Ctrl-C drains
the fleet and ends.
"""

import argparse
import asyncio
import signal
import sys
from collections import Counter
from typing import Any

from fastapi import FastAPI, HTTPException, WebSocket

import dscore


class Cameras(dscore.Policy):
    def __init__(self) -> None:
        self.detections: Counter[str] = Counter()

    async def authenticate(self, candidate: dscore.Candidate) -> bool:
        # Async, because most programs ask a database here. Only connections that ask wait.
        return candidate.role == "operator" or candidate.agent_id.startswith("cam-")

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> None:
        if kind == "detections":
            self.detections[agent.id] += len(message.get("objects", ()))

    def on_status_change(self, agent: dscore.Agent, status: str, reason_code: str | None) -> None:
        print(f"{agent.id} is {status}", reason_code or "", flush=True)


def build_pages(cameras: Cameras) -> FastAPI:
    pages = FastAPI()

    @pages.get("/detections")
    def detections() -> dict[str, int]:
        return dict(cameras.detections)

    @pages.websocket("/detections/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        async for _ in socket.iter_text():  # until the page leaves, or the server stops
            await socket.send_json(dict(cameras.detections))

    @pages.post("/agents/{agent_id}/snapshot")
    async def snapshot(agent_id: str) -> dict[str, bool]:
        server: dscore.Server = pages.state.server
        agent = server.fleet.agent(agent_id)
        if agent is None:
            raise HTTPException(404, "no such camera")
        return {"delivered": agent.send({"type": "take_snapshot"})}

    return pages


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8765)
    port = parser.parse_args().port

    cameras = Cameras()
    pages = build_pages(cameras)
    config = dscore.Config.model_validate({"listen": {"port": port}})
    async with dscore.Server(config, policy=cameras, app=pages) as server:
        pages.state.server = server
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
        report = await server.drain()
        print(f"{report.acked} of {report.total} cameras stopped", flush=True)
        return await drained


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
