"""PROTOCOL.md §2, Origins: which pages reach what, over real sockets and every transport."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import httpx
import psutil
import pytest

import dscore
from protocol.support import Running, running, tcp
from serving import Serving
from socketio_wire.agents import PATH
from socketio_wire.support import fetch

Serve = Callable[..., Serving]

EVIL = "https://evil.example"
POLLING = f"{PATH}?EIO=4&transport=polling"
OLD_POLLING = f"{PATH}?EIO=3&transport=polling"
WEBSOCKETS = (
    "/deepstream/ws",
    f"{PATH}?EIO=4&transport=websocket",
    f"{PATH}?EIO=3&transport=websocket",
)
AGENTS = "/api/v1/agents"
ALL = (*WEBSOCKETS, POLLING, OLD_POLLING, AGENTS)
each_way = pytest.mark.parametrize("target", ALL)
TOKENS = {"auth": {"required": True, "tokens": ["secret"], "operator_tokens": ["operator"]}}


async def status_of(
    port: int, target: str, host: str | None = None, *origins: str, at: str = "127.0.0.1"
) -> tuple[int, str]:
    """The status of a request, or of an upgrade, and the whole answer."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}"]
    lines += [f"Origin: {origin}" for origin in origins]
    if target in WEBSOCKETS:
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines.append("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    else:
        lines.append("Connection: close")
    async with tcp(f"ws://{at}:{port}") as one:
        await one.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, fields = await one.head()
        text = "\n".join(f"{name}: {value}" for name, value in fields.items())
        if status != 101:
            with suppress(asyncio.TimeoutError):
                text += "\n\n" + (await one.ended()).decode()
        return status, text


def fine(target: str) -> int:
    return 101 if target in WEBSOCKETS else 200


@each_way
async def test_2_pages_of_this_machine_are_let_in_by_default(target: str) -> None:
    async with running() as here:
        for origin in ("http://localhost:3000", "http://[::1]", f"http://127.0.0.1:{here.port}"):
            status, answer = await status_of(here.port, target, None, origin)
            assert status == fine(target), answer
            if status == 200:
                assert f"access-control-allow-origin: {origin}" in answer
                assert "access-control-allow-credentials: true" in answer
                assert "vary: Origin" in answer


@each_way
@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1.evil.example", "x"])
async def test_2_other_pages_are_not_and_are_told_why(target: str, origin: str) -> None:
    async with running() as here:
        status, answer = await status_of(here.port, target, None, origin)
        assert status == 403
        assert "name it in socket.cors_origins" in answer
        assert "access-control" not in answer


@each_way
async def test_2_two_origins_are_refused_even_of_one_page(target: str) -> None:
    for origins in (["self"], ["*"]):
        async with running({"socket": {"cors_origins": origins}}) as here:
            twice = ("http://localhost", "http://localhost")
            assert (await status_of(here.port, target, None, *twice))[0] == 403


@each_way
@pytest.mark.parametrize("origins", [(), ("http://evil.example",), ("http://localhost:3000",)])
async def test_2_a_name_that_was_rebound_to_this_machine_is_refused(
    target: str, origins: tuple[str, ...]
) -> None:
    async with running() as here:
        host = f"evil.example:{here.port}"
        status, answer = await status_of(here.port, target, host, *origins)
        assert status == 403
        assert ("socket.cors_origins" if "evil" in "".join(origins) else "listen.names") in answer
        assert here.server.fleet.connected_ids() == []


@each_way
async def test_2_names_of_the_server_are_let_in(target: str) -> None:
    async with running({"listen": {"port": 0, "names": ["fleet.example"]}}) as here:
        for origins in ((), ("https://fleet.example",), ("http://FLEET.example:8443",)):
            assert (await status_of(here.port, target, "fleet.example", *origins))[0] == fine(
                target
            )
        assert (await status_of(here.port, target, "x.fleet.example"))[0] == 403


@each_way
async def test_2_an_origin_named_is_let_in_and_no_other(target: str) -> None:
    async with running({"socket": {"cors_origins": ["https://ops.example"]}}) as here:
        # Whatever Host says: a proxy may keep it.
        for host in (None, "fleet.example"):
            status, _ = await status_of(here.port, target, host, "https://ops.example")
            assert status == fine(target)
        for origin in (EVIL, "http://localhost", "https://ops.example:8443"):
            assert (await status_of(here.port, target, None, origin))[0] == 403


@each_way
async def test_2_a_written_star_lets_all_in(target: str) -> None:
    async with running({"socket": {"cors_origins": ["*"]}}) as here:
        status, answer = await status_of(here.port, target, "evil.example", EVIL)
        assert status == fine(target)
        if status == 200:
            assert "access-control-allow-origin: *" in answer
            assert "credentials" not in answer


@pytest.mark.parametrize("target", [*WEBSOCKETS, POLLING, OLD_POLLING])
async def test_2_where_tokens_are_required_host_does_not_matter(target: str) -> None:
    async with running(TOKENS) as here:
        assert (await status_of(here.port, target, "fleet.example"))[0] == fine(target)
        assert (await status_of(here.port, target, "fleet.example", EVIL))[0] == 403


@pytest.mark.parametrize("path", ["/deepstream/health", "/livez", "/metrics"])
async def test_2_health_is_readable_by_every_origin(path: str) -> None:
    async with running() as here:
        status, answer = await status_of(here.port, path, "evil.example", EVIL)
        assert status == 200
        assert ("access-control-allow-origin: *" in answer) == (path == "/deepstream/health")


async def test_2_a_preflight_is_judged_too() -> None:
    async with running() as here:
        for target in (POLLING, OLD_POLLING, AGENTS):
            for origin, status in (("http://localhost:3000", 204), (EVIL, 403)):
                asks = {"Origin": origin, "Access-Control-Request-Method": "GET"}
                answer = await fetch(here.port, "OPTIONS", target, headers=asks)
                assert answer.status == status


def other_address() -> str | None:
    """An address of this machine that is not loopback's."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return one.address
    return None


@each_way
async def test_2_the_address_and_port_a_connection_came_in_on_are_ours(target: str) -> None:
    at = other_address()
    if at is None:
        pytest.skip("this machine has no address but loopback's")
    settings = {"listen": {"port": 0, "host": "0.0.0.0"}, "auth": {"local_operators": "open"}}
    config = dscore.Config.model_validate({**settings, "store": {"path": ":memory:"}})
    async with dscore.Server(config) as server, httpx.AsyncClient() as pages:
        port = Running(server, pages).port
        refused = 401 if target == AGENTS else fine(target)
        own = f"http://{at}:{port}"
        assert (await status_of(port, target, f"{at}:{port}", own, at=at))[0] == refused
        for origin in (f"http://{at}:{port + 1}", f"http://{at}", "http://192.0.2.1:80"):
            assert (await status_of(port, target, f"{at}:{port}", origin, at=at))[0] == 403


@pytest.mark.parametrize(("origins", "required"), [("*", False), ("*", True), ("self", False)])
def test_2_a_written_star_is_warned_of_unless_tokens_are_required(
    serve: Serve, origins: str, required: bool
) -> None:
    settings = {"DSCORE_SOCKET__CORS_ORIGINS": origins, "DSCORE_AUTH__TOKENS": "secret"}
    settings |= {"DSCORE_AUTH__REQUIRED": str(required).lower(), "DSCORE_STORE__PATH": ":memory:"}
    one = serve(env=settings)
    one.wait_for_log("server_started")
    warned = [line for line in one.log_lines() if line["event"] == "every_origin_let_in"]
    assert bool(warned) == (origins == "*" and not required)
    assert all("socket.cors_origins" in line["setting"] for line in warned)
