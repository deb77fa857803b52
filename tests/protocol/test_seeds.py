"""The two source documents: their clients, word for word, against this server."""

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from protocol.support import ISO_UTC, agents, eventually, running, watcher
from serving import Serving
from wire import agent

CONTRACT_CONFIG = {
    "monitoring": {
        "healthCheckInterval": 30000,
        "offlineTimeout": 300000,
        "connectionCheckInterval": 30000,
        "processCheckInterval": 20000,
        "maxMissedHeartbeats": 3,
        "heartbeatGracePeriod": 60000,
        "reconnectionGracePeriod": 120000,
    },
    "socket": {
        "cors": {"origin": "*", "methods": ["GET", "POST"]},
        "pingInterval": 30000,
        "pingTimeout": 120000,
        "transports": ["websocket", "polling"],
        "allowEIO3": True,
        "maxHttpBufferSize": 1e6,
        "connectTimeout": 60000,
    },
}


class DocumentAClient:
    """What the DeepStream contract asks of a DeepStream client, and no more: no heartbeats."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reconnect_in: int | None = None
        self.last_close_code = 0
        self.acks: list[dict[str, Any]] = []
        self.terminated = False

    async def run(self) -> None:
        async with connect(self.url, ping_interval=None, proxy=None) as websocket:
            ready: dict[str, Any] = {"type": "app_ready", "instance_id": "unique_client_id"}
            if self.last_close_code:
                ready["reconnection"] = True
                ready["last_close_code"] = self.last_close_code
            try:
                await websocket.send(json.dumps({**ready, "config": {}}))
                async for text in websocket:
                    await self.handle_message(websocket, json.loads(text))
            except ConnectionClosed:
                pass
            assert websocket.close_code is not None
            self.on_close(websocket.close_code)

    async def handle_message(self, websocket: ClientConnection, message: dict[str, Any]) -> None:
        if message["type"] == "terminate_app":
            response = {
                "type": "app_terminated",
                "request_id": message["request_id"],
                "status": "OK",
                "message": "Application terminated gracefully",
            }
            await websocket.send(json.dumps(response))
            self.terminated = True
        else:
            self.acks.append(message)

    def on_close(self, code: int) -> None:
        self.last_close_code = code
        match code:
            case 1001:
                self.reconnect_in = 5000
            case 1013:
                self.reconnect_in = 10000
            case _:
                self.reconnect_in = None


async def check_server_health(here: Any) -> bool:
    _, health = await here.health()
    if health["status"] == "shutting_down":
        return False
    return bool(health["status"] == "ok")


async def test_deepstream_contract_a_client_is_terminated_and_closed_1000() -> None:
    async with running() as here:
        client = DocumentAClient(here.ws)
        run = asyncio.create_task(client.run())
        await eventually(lambda: is_connected(here))
        assert await check_server_health(here)
        report = await here.server.drain()
        await run
        assert not await check_server_health(here)
        assert (client.terminated, client.last_close_code) == (True, 1000)
        assert (report.acked, report.exit_code) == (1, 0)


async def is_connected(here: Any) -> bool:
    return here.server.fleet.connected_ids() == ["unique_client_id"]


async def test_deepstream_contract_a_restart_is_1001_and_the_client_comes_back_to_its_session() -> (
    None
):
    async with running({"shutdown": {"notice": 0}}) as here:
        client = DocumentAClient(here.ws)
        run = asyncio.create_task(client.run())
        await eventually(lambda: is_connected(here))
        await here.server.drain(intent="restart")
        await run
        assert (client.last_close_code, client.reconnect_in) == (1001, 5000)
    async with running() as here:
        client.url = here.ws
        client.acks.clear()
        run = asyncio.create_task(client.run())
        await eventually(lambda: is_connected(here))
        here.server.set_maintenance(enabled=True)
        await run
        assert client.acks == [
            {
                "type": "reconnection_ack",
                "status": "ok",
                "session_restored": False,  # the truth: it was kept in memory only
                "server_status": "running",
            }
        ]
        assert (client.last_close_code, client.reconnect_in) == (1013, 10000)


async def test_deepstream_contract_a_client_that_connects_in_a_drain_is_1013() -> None:
    async with running() as here, agents(here.ws, "slow") as [slow]:
        drain = asyncio.create_task(here.server.drain())
        order = await slow.recv_type("terminate_app")
        client = DocumentAClient(here.ws)
        await client.run()
        assert (client.last_close_code, client.reconnect_in) == (1013, 10000)
        assert (client.acks, client.terminated) == ([], False)
        await slow.answer(order)
        await drain


async def test_deepstream_contract_the_fields_it_calls_required_are_in_the_health_document() -> (
    None
):
    async with running() as here:
        _, health = await here.health()
        assert {"status", "timestamp", "connected_instances", "websocket", "system"} <= set(health)
        assert health["websocket"]["is_shutting_down"] is False
        assert set(health["system"]) == {"cpu_usage", "memory_usage", "uptime"}


@pytest.mark.parametrize("status", ["ok", "Error"])
async def test_deepstream_contract_status_is_upper_case_ok(status: str) -> None:
    async with running({"shutdown": {"timeout": 0.2}}) as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        order = await one.recv_type("terminate_app")
        await one.answer(order, status=status, message="Application terminated gracefully")
        assert await one.closed() == (1001, "Server shutdown timeout")
        assert (await drain).failed == 1


async def test_socketio_contract_a_day_in_the_life_of_a_client() -> None:
    async with (
        running(CONTRACT_CONFIG) as here,
        watcher(here.ws) as page,
        agent(here.ws, "camera-01", introduce=False) as one,
    ):
        await one.send(
            "heartbeat",
            clientName="camera-01",
            ip_address="192.168.0.10",
            timestamp="2025-01-01T00:00:00.000Z",
        )
        answer = await one.recv()
        assert answer["status"] == "ok"
        assert answer["nextHeartbeatIn"] == 30000
        assert ISO_UTC.fullmatch(answer["timestamp"])
        await one.send("client_status_request", clientName="camera-01")
        status = await one.recv()
        assert (status["serverStatus"], status["clientStatus"]) == ("online", "online")
        assert status["serverUptime"] >= 0
        await one.send("connection_check_response", client_name="camera-01")
        await one.send("reconnection_success", clientName="camera-01")
        changed = await page.recv()
        assert (changed["name"], changed["status"]) == ("camera-01", "online")
        assert changed["lastHeartbeat"]
        reconnected = await page.recv()
        assert reconnected["type"] == "client_reconnected"
        assert set(reconnected) == {"type", "clientName", "timestamp"}


async def test_socketio_contract_its_settings_mean_what_they_mean_there() -> None:
    async with running(CONTRACT_CONFIG) as here:
        config = here.server.config
        assert config.monitoring.offline_timeout == 300
        assert config.monitoring.reconnection_grace_period == 120
        assert (config.socket.ping_interval, config.socket.ping_timeout) == (30, 120)
        assert config.socket.max_message_size == 1_000_000


async def test_socketio_contract_the_server_ends_and_its_clients_do_not(
    serve: Callable[..., Serving],
) -> None:
    """Its test 1: the client is told when to come back, and may, to the same port."""
    environ = {"DSCORE_LOG__LANGUAGE": "ko", "DSCORE_SHUTDOWN__INTENT": "restart"}
    serving = await asyncio.to_thread(serve, env={**environ, "DSCORE_SHUTDOWN__NOTICE": "200ms"})
    async with agent(serving.ws, "camera-01", introduce=False) as one:
        assert (await one.beat())["message"] == "하트비트 수신 완료"
        serving.process.send_signal(signal.SIGINT)
        told = await one.recv_type("server_shutdown")
        assert told["message"] == "서버가 종료됩니다. 잠시 후 재연결을 시도해주세요."
        assert told["reconnectAfter"] >= 5000
        assert (await one.closed())[0] == 1001
        assert "terminate_app" not in [message["type"] for message in one.kept]
    assert await asyncio.to_thread(serving.wait) == 0
    again = await asyncio.to_thread(serve, port=serving.port)
    async with agent(again.ws, "camera-01", introduce=False) as one:
        await one.send("reconnection_success", clientName="camera-01")
        await one.beat()
