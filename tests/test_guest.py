"""A program's ASGI app as the guest of a real server: over sockets, to its end."""

import asyncio
import socket
import struct
from typing import Any

import pytest

import dscore
from dscore.config import Config
from faked import eventually


def config(**shutdown: object) -> Config:
    return Config.model_validate({"listen": {"port": 0}, "shutdown": shutdown})


async def ask(server: dscore.Server, target: str) -> tuple[asyncio.StreamReader, Any]:
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return reader, writer


class Slow:
    """An app whose work takes as long as it is told to."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun = 0
        self.ended: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.ended.append("lifespan")
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.begun += 1
        if scope["path"] == "/background":
            await self._answer(send)
        await asyncio.sleep(self.seconds)
        self.ended.append(scope["path"])
        if scope["path"] != "/background":
            await self._answer(send)

    async def _answer(self, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


async def test_a_close_waits_for_requests_and_background_tasks_then_for_the_lifespan() -> None:
    # They had one second, whatever they were in the middle of.
    app = Slow(2.0)
    async with dscore.Server(config(), app=app) as server:
        reader, writer = await ask(server, "/request")
        _, other = await ask(server, "/background")
        await eventually(lambda: app.begun == 2)
        await server.close()
        assert (await reader.read()).endswith(b"done")
    assert sorted(app.ended[:2]) == ["/background", "/request"]
    assert app.ended[2:] == ["lifespan"]
    writer.close()
    other.close()


async def test_what_a_close_cuts_is_named_with_method_and_path(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Slow(60.0)
    async with dscore.Server(config(request_timeout=0), app=app) as server:
        reader, writer = await ask(server, "/request?secret")
        _, other = await ask(server, "/background")
        await eventually(lambda: app.begun == 2)
        await server.close()
        assert b" 503 " in await reader.readline()
    assert app.ended == ["lifespan"]
    cuts = [one.message for one in caplog.records if one.message.startswith("http_request_cut")]
    assert len(cuts) == 2
    assert any("method=GET path=/request seconds=" in cut for cut in cuts)
    assert any("method=GET path=/background seconds=" in cut for cut in cuts)
    writer.close()
    other.close()


async def test_a_reset_connection_does_not_end_a_transaction() -> None:
    committed: list[Any] = []
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await receive()
        begun.set()
        told = await receive()
        await asyncio.sleep(0.05)
        with pytest.raises(OSError, match="left"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        committed.append(told)

    async with dscore.Server(config(), app=app) as server:
        _, writer = await ask(server, "/")
        await asyncio.wait_for(begun.wait(), 10)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        await eventually(lambda: committed, 10.0)
        assert committed == [{"type": "http.disconnect"}]


async def test_a_hook_in_progress_has_its_time_at_a_close_and_what_is_cut_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    class Patient(dscore.Policy):
        async def on_drain(self, intent: str) -> None:
            await asyncio.sleep(2.0)
            ended.append("drain")

        async def on_drained(self, report: Any) -> None:
            await asyncio.Event().wait()

    async with dscore.Server(config(request_timeout="4s"), policy=Patient()) as server:
        await server.drain()
    assert ended == ["drain"]
    cuts = [one.message for one in caplog.records if one.message.startswith("task_cut")]
    assert [cut.partition(" after=")[0] for cut in cuts] == ["task_cut task=on_drained"]
