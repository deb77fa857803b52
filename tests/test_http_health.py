"""The health document (PROTOCOL.md §8) and the probes."""

import pytest

from dscore.http.health import SAMPLE_SECONDS, SystemSampler, health_document
from dscore.store import StoreHealth
from fake_fleet import FakeFleet
from test_http_app import client_of


async def test_health_has_every_field_of_section_8() -> None:
    async with client_of(FakeFleet("a", "b", "c")) as client:
        answer = await client.get("/deepstream/health")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["status"] == "ok"
    assert document["timestamp"].endswith("Z")
    assert len(document["timestamp"]) == len("2026-01-01T00:00:00.000Z")
    assert document["connected_instances"] == ["a", "b", "c"]
    assert document["dialects"] == {"raw": 3, "socketio": 0}
    assert document["websocket"] == {
        "total_connections": 5,
        "authenticated_connections": 3,
        "unauthenticated_connections": 2,
        "is_shutting_down": False,
    }
    assert set(document["system"]) == {"cpu_usage", "memory_usage", "uptime"}
    assert 0 < document["system"]["memory_usage"] <= 100
    assert document["system"]["uptime"] == 12.5
    assert document["maintenance"] is False
    assert document["store"] == {"status": "ok", "reason": None, "waiting": 0, "lost": 0}


async def test_health_stays_ok_and_says_so_when_nothing_can_be_kept() -> None:
    fleet = FakeFleet()
    fleet.store = StoreHealth(is_ok=False, reason="disk is full", waiting=7, lost_total=2)
    async with client_of(fleet) as client:
        answer = await client.get("/deepstream/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["store"] == {
        "status": "failing",
        "reason": "disk is full",
        "waiting": 7,
        "lost": 2,
    }


@pytest.mark.parametrize("status", [503, 200])
async def test_health_in_a_drain(status: int) -> None:
    fleet = FakeFleet("a")
    fleet.is_draining = True
    async with client_of(fleet, draining_status=status) as client:
        answer = await client.get("/deepstream/health")
    assert answer.status_code == status
    assert answer.json()["status"] == "shutting_down"
    assert answer.json()["websocket"]["is_shutting_down"] is True


async def test_health_stays_ok_in_maintenance() -> None:
    fleet = FakeFleet()
    fleet.maintenance = True
    async with client_of(fleet) as client:
        answer = await client.get("/deepstream/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert answer.json()["maintenance"] is True
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "maintenance"})


@pytest.mark.parametrize("origins", [["self"], ["*"], ["http://page.example"]])
async def test_pages_of_every_origin_may_read_health(origins: list[str]) -> None:
    async with client_of(FakeFleet(), cors_origins=origins) as client:
        for origin in ("http://page.example", "https://other.example", "null"):
            headers = {"origin": origin, "host": "evil.example"}
            answer = await client.get("/deepstream/health", headers=headers)
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            # Before it shows a token, a browser asks.
            asks = {
                **headers,
                "access-control-request-method": "GET",
                "access-control-request-headers": "authorization",
            }
            answer = await client.options("/deepstream/health", headers=asks)
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-headers"] == "authorization"


@pytest.mark.parametrize(
    ("started", "ready", "draining", "expected"),
    [
        (False, False, False, {"/livez": 200, "/startupz": 503, "/readyz": 503}),
        (True, True, False, {"/livez": 200, "/startupz": 200, "/readyz": 200}),
        (True, False, True, {"/livez": 200, "/startupz": 200, "/readyz": 503}),
    ],
)
async def test_probes_follow_the_phase(
    started: bool, ready: bool, draining: bool, expected: dict[str, int]
) -> None:
    fleet = FakeFleet()
    fleet.is_started, fleet.is_ready, fleet.is_draining = started, ready, draining
    async with client_of(fleet) as client:
        assert {path: (await client.get(path)).status_code for path in expected} == expected


def test_the_machine_is_looked_at_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float | None] = []
    now = [100.0]

    def cpu_percent(interval: float | None) -> float:
        looks.append(interval)
        return 42.0

    monkeypatch.setattr("dscore.http.health.psutil.cpu_percent", cpu_percent)
    sampler = SystemSampler(clock=lambda: now[0])
    sampler.sample()
    assert looks == [None]
    now[0] += SAMPLE_SECONDS
    assert sampler.sample()[0] == 42.0
    sampler.sample()
    assert looks == [None, None]


@pytest.mark.alone
def test_health_names_all_of_18000_agents() -> None:
    fleet = FakeFleet(*(f"agent-{number:05}" for number in range(18_000)))
    sampler = SystemSampler()
    document = health_document(fleet, sampler, ids=fleet.connected_ids())
    assert document.count(b"agent-") == 18_000
