"""An agent in an asyncio program: counts, tells the server, and stops when it is asked to.

python -m dscore serve                      # in one terminal
python examples/agent_asyncio.py            # in another one
python -m dscore terminate --all --yes      # in a third one; SIGTERM and ctrl-C do the same
"""

import asyncio
import contextlib
import os
import signal
import sys

from dscore_agent import Agent, Status, TerminateRequest, load


class Counter:
    """The application: some work that takes a moment to finish."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()

    async def run(self, agent: Agent) -> None:
        count = 0
        while not self._stopping.is_set():
            count += 1
            if not agent.send({"type": "counted", "count": count}):
                print("the server is leaving, this one is not sent")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)
        self._finished.set()

    async def stop(self, request: TerminateRequest) -> None:
        print(f"stopping: {request.reason}")
        self._stopping.set()
        await self._finished.wait()


async def main() -> int:
    counter = Counter()

    def on_state(status: Status) -> None:
        print(f"{status.state.name.lower()}, server shutting down: {status.server_shutting_down}")

    agent = Agent(load(environ=os.environ), on_terminate=counter.stop, on_state=on_state)
    await agent.start()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop, number.name)
    counting = asyncio.create_task(counter.run(agent))
    try:
        return await agent.wait()
    finally:
        counting.cancel()
        await agent.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
