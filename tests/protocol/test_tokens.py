"""Tokens and roles (PROTOCOL.md §2): agents, watchers and operators; files and signed tokens."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import dscore
from protocol.support import running
from serving import Serving
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]

KEY = ec.generate_private_key(ec.SECP256R1())
FAILED = (1008, "authentication failed")


def key_file(directory: Path, key: ec.EllipticCurvePrivateKey = KEY) -> Path:
    path = directory / "issuer.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return path


def signed(key: ec.EllipticCurvePrivateKey = KEY, **claims: object) -> str:
    expiry = int(time.time()) + 86_400
    given = {"iss": "id", "aud": "fleet", "exp": expiry, "sub": "cam-1", **claims}
    return jwt.encode(given, key, algorithm="ES256")


def auth(directory: Path) -> dict[str, Any]:
    agents, operators = directory / "agents", directory / "operators"
    digest = sha256(b"hashed-secret").hexdigest()
    agents.write_text(f"free\nbound agent=cam-1,north-*\nsha256:{digest} agent=cam-2 name=box\n")
    operators.write_text("boss\nwall role=watcher name=wall\n")
    for path in (agents, operators):
        path.chmod(0o600)
    return {
        "required": True,
        "token_file": agents,
        "operator_token_file": operators,
        "jwt_keys": key_file(directory),
        "jwt_issuer": "id",
        "jwt_audience": "fleet",
    }


@pytest.mark.parametrize(
    ("token", "agent_id", "comes_in"),
    [
        ("free", "anything", True),
        ("bound", "cam-1", True),
        ("bound", "north-7", True),
        ("bound", "cam-2", False),
        ("hashed-secret", "cam-2", True),
        ("hashed-secret", "cam-1", False),
        ("boss", "cam-1", False),
        (signed(), "cam-1", True),
        (signed(), "cam-2", False),
        (signed(sub=["cam-2"]), "cam-2", False),
        (signed(sub="cam-*"), "cam-9", True),
        (signed(role="watcher"), "cam-1", False),
        (signed(role=["agent", "operator"]), "cam-1", True),
        (signed(exp=int(time.time()) - 3600), "cam-1", False),
        (signed(ec.generate_private_key(ec.SECP256R1())), "cam-1", False),
    ],
)
async def test_tokens_are_bound_to_roles_and_agents(
    tmp_path: Path, token: str, agent_id: str, comes_in: bool
) -> None:
    async with running({"auth": auth(tmp_path)}) as here:
        for shown in ({"token": token}, {"headers": {"authorization": f"Bearer {token}"}}):
            headers = shown.pop("headers", None)
            async with agent(here.ws, agent_id, introduce=False, headers=headers) as wire:
                await wire.send("app_ready", instance_id=agent_id, **shown)
                if comes_in:
                    await wire.recv_type("app_ready_ack")
                else:
                    assert await wire.closed() == FAILED


async def test_tokens_a_watcher_reads_and_changes_nothing(tmp_path: Path) -> None:
    async with running({"auth": auth(tmp_path)}) as here:
        for token, power in [
            ("boss", 200),
            ("wall", 403),
            (signed(role="operator"), 200),
            (signed(role="watcher"), 403),
            (signed(role="agent"), 401),
            ("free", 401),
        ]:
            headers = {"authorization": f"Bearer {token}"}
            reading = 200 if power != 401 else 401
            for path in ("/api/v1/agents", "/metrics", "/api/v1/openapi.json"):
                assert (await here.pages.get(path, headers=headers)).status_code == reading, token
            answer = await here.pages.post(
                "/api/v1/maintenance", json={"enabled": False}, headers=headers
            )
            assert answer.status_code == power
            if power == 403:
                assert "is a watcher's" in answer.json()["detail"]
            async with agent(here.ws, introduce=False) as wire:
                await wire.send("watch", snapshot=True, token=token)
                if reading == 200:
                    await wire.send("client_status_request", clientName="x")
                    await wire.recv_type("server_status_response")
                else:
                    assert (await wire.recv_type("error"))["code"] == "forbidden"


async def test_tokens_the_policy_sees_what_they_say(tmp_path: Path) -> None:
    seen: list[dscore.Candidate] = []

    class Sites(dscore.Policy):
        def authenticate(self, candidate: dscore.Candidate) -> bool:
            seen.append(candidate)
            return candidate.claims.get("site") != "south"

    async with running({"auth": auth(tmp_path)}, policy=Sites()) as here:
        async with agent(here.ws, "cam-1", token=signed(site="north")):
            pass
        async with agent(here.ws, "cam-1", introduce=False) as wire:
            await wire.send("app_ready", instance_id="cam-1", token=signed(site="south"))
            assert await wire.closed() == FAILED
        async with agent(here.ws, "cam-2", token="hashed-secret"):
            pass
        async with agent(here.ws, "cam-3", introduce=False) as wire:
            await wire.send("app_ready", instance_id="cam-3", token="wrong")
            assert await wire.closed() == FAILED
    north, south, hashed = seen
    assert (north.token_name, north.claims["site"]) == ("jwt:cam-1", "north")
    assert south.claims["site"] == "south"
    assert (hashed.token_name, dict(hashed.claims)) == ("agents:3(box)", {})


async def test_tokens_signed_ones_leave_the_servers_own_in_force(tmp_path: Path) -> None:
    given = {name: value for name, value in auth(tmp_path).items() if name.startswith("jwt")}
    async with running({"auth": given}) as here:
        own = here.server.operator_token
        assert own is not None
        for token, status in [(own, 200), (signed(role="operator"), 200), (signed(), 401)]:
            headers = {"authorization": f"Bearer {token}"}
            answer = await here.pages.post(
                "/api/v1/maintenance", json={"enabled": False}, headers=headers
            )
            assert answer.status_code == status
        # Operators have tokens configured, so reading is closed too.
        answer = await here.pages.get("/api/v1/agents", headers={"authorization": ""})
        assert answer.status_code == 401


async def test_tokens_are_rotated_by_sighup(
    serve: Serve, write_toml: Callable[[str], Path], tmp_path: Path
) -> None:
    given = auth(tmp_path)
    lines = (f"{name} = {json.dumps(str(value))}" for name, value in given.items())
    path = write_toml("[auth]\n" + "\n".join(lines).replace('"True"', "true"))
    serving = serve("--config", str(path))

    def status(token: str) -> int:
        shown = {"authorization": f"Bearer {token}"}
        return serving.request("GET", "/api/v1/agents", headers=shown)[0]

    def reloads(event: str, number: int) -> bool:
        return sum(line.get("event") == event for line in serving.log_lines()) >= number

    other = ec.generate_private_key(ec.SECP256R1())
    old, new = signed(role="watcher"), signed(other, role="watcher")
    assert [await asyncio.to_thread(status, token) for token in ("boss", old, new)] == [
        200,
        200,
        401,
    ]
    key_file(tmp_path, other)
    (tmp_path / "operators").write_text("chief\n")
    serving.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(wait_until, lambda: reloads("config_reloaded", 1), "reload", 30.0)
    shown = ("boss", "chief", old, new)
    assert [await asyncio.to_thread(status, token) for token in shown] == [401, 200, 401, 200]
    (tmp_path / "issuer.pem").write_text("half of i")
    serving.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(wait_until, lambda: reloads("reload_failed", 1), "refusal", 30.0)
    assert await asyncio.to_thread(status, new) == 200


def test_signed_tokens_alone_let_agents_in(serve: Serve, tmp_path: Path) -> None:
    env = {
        "DSCORE_AUTH__REQUIRED": "true",
        "DSCORE_AUTH__JWT_KEYS": str(key_file(tmp_path)),
        "DSCORE_AUTH__JWT_ISSUER": "id",
        "DSCORE_AUTH__JWT_AUDIENCE": "fleet",
    }
    assert serve(env=env).get("/readyz")[0] == 200
