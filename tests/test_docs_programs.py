"""The programs of docs/programs.md and docs/socketio.md, run as they stand there."""

import asyncio
import re
from pathlib import Path
from typing import Any

import socketio

import dscore
from dscore import testing

DOCS = Path(__file__).parent.parent / "docs"
SECONDS = 60.0


def program(document: str, beginning: str) -> str:
    """The one Python block of a document that begins like this."""
    text = (DOCS / document).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    [one] = [block for block in blocks if block.startswith(beginning)]
    return str(one)


async def run(program: str, names: dict[str, Any]) -> None:
    """Runs a block that awaits; what it names is in `names` afterwards."""
    body = "\n".join(f"    {line}" for line in program.splitlines())
    exec(f"async def program():\n{body}\n    return locals()", names)
    names.update(await asyncio.wait_for(names["program"](), SECONDS))


async def test_a_fleet_in_a_test_and_a_policy_without_sockets() -> None:
    class Cameras(dscore.Policy):
        def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
            return {"counted": len(message["objects"])}

    names: dict[str, Any] = {"testing": testing, "Cameras": Cameras}
    await run(program("programs.md", "async with testing.fleet("), names)
    assert (names["report"].total, names["report"].acked) == (1, 1)
    assert names["answer"] == {"counted": 1}


async def test_socket_io_has_acks_and_bytes() -> None:
    policy, _, talk = program("socketio.md", "class Boxes").partition("\n\n\n")
    names: dict[str, Any] = {"dscore": dscore, "Any": Any}
    exec(policy, names)
    config = {"listen": {"port": 0}, "store": {"path": ":memory:"}}
    camera = socketio.AsyncClient(reconnection=False)
    camera.on("take_snapshot", lambda wish: {"jpeg": bytes(wish["width"])})
    heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    for event in ("picture", "news"):
        camera.on(event, lambda said, event=event: heard.put_nowait((event, said)))
    async with dscore.Server(
        dscore.Config.model_validate(config), policy=names["Boxes"]()
    ) as server:
        url = "http://{}:{}".format(*server.address)
        await camera.connect(url, namespaces=["/", "/telemetry"])
        await camera.emit("heartbeat", {"clientName": "cam-17"})
        stored = await camera.call("picture", {"jpeg": b"\xff" * 7}, timeout=SECONDS)
        names["server"] = server
        await run(talk, names)
        said = [await asyncio.wait_for(heard.get(), SECONDS) for _ in range(2)]
        await camera.disconnect()
    assert stored == {"stored": 7}
    assert names["answer"] == {"jpeg": bytes(640)}
    assert [event for event, _ in said] == ["picture", "news"]
    assert said[0][1]["jpeg"] == b"..."
