"""A server for `make compliance-api`: it outlives its drain, and an agent of it always comes back.

Says its address and its operator's token in one line of JSON, and ends with its stdin.
"""

import asyncio
import contextlib
import json
import logging
import sys

import uvloop

import dscore
from dscore.server import wrong_tokens
from dscore_agent import Agent, AgentConfig

AGENT = "cam-17"
"""The id in the examples of the OpenAPI document."""
TOKENS = {"required": True, "tokens": ["agent-secret"], "operator_tokens": ["operator-secret"]}


async def main(required: bool) -> None:
    settings = {"listen": {"port": 0}, "auth": TOKENS if required else {}}
    async with dscore.Server(dscore.Config.model_validate(settings)) as server:
        host, port = server.address
        said = {"url": f"http://{host}:{port}", "token": server.operator_token or "operator-secret"}
        print(json.dumps(said), flush=True)
        agent = asyncio.create_task(keep_agent(f"ws://{host}:{port}/deepstream/ws"))
        await asyncio.to_thread(sys.stdin.read)
        agent.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await agent


async def keep_agent(url: str) -> None:
    """Holds an agent, and a new one when it was removed or terminated."""
    while True:
        agent = Agent(AgentConfig(url=url, instance_id=AGENT, token="agent-secret"))
        await agent.start()
        try:
            await agent.wait()
        finally:
            await agent.close()
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    wrong_tokens.DELAY = 0.0  # Schemathesis shows thousands
    logging.disable(logging.CRITICAL)
    uvloop.run(main("--required" in sys.argv[1:]))
