"""The metrics page."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import dscore
from dscore import testing
from dscore._core import CoreConfig, ReactorPool
from dscore.http import metrics
from dscore.http.metrics import LATENCY_BOUNDS_MS
from dscore.server import terminations
from dscore.server.timeline import Disconnect
from fake_fleet import FakeFleet, FakeStatus
from test_http_app import client_of


async def scrape(fleet: FakeFleet) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with client_of(fleet) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_connections_by_state() -> None:
    samples = await scrape(FakeFleet("a", "b", "c"))
    assert samples["dscore_connections", (("state", "authenticated"),)] == 3
    assert samples["dscore_connections", (("state", "unauthenticated"),)] == 2


async def test_agents_by_status() -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.by_id["c"].status = fleet.by_id["c"].state = "offline"
    samples = await scrape(fleet)
    assert samples["dscore_agents", (("state", "connected"), ("status", "online"))] == 2
    assert samples["dscore_agents", (("state", "offline"), ("status", "offline"))] == 1
    assert samples["dscore_agents", (("state", "late"), ("status", "online"))] == 0


async def test_connected_agents_by_dialect() -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.by_id["b"].dialect = "socketio"
    fleet.by_id["c"].connected = False
    samples = await scrape(fleet)
    assert samples["dscore_connected_agents", (("dialect", "raw"),)] == 1
    assert samples["dscore_connected_agents", (("dialect", "socketio"),)] == 1


async def test_disconnects_by_reason_code_and_initiator() -> None:
    fleet = FakeFleet()
    fleet.ended[Disconnect("ping_timeout", "1011", "server")] = 3
    samples = await scrape(fleet)
    labels = (("code", "1011"), ("initiator", "server"), ("reason", "ping_timeout"))
    assert samples["dscore_disconnects_total", labels] == 3


async def test_lateness_of_heartbeats_and_of_the_loop_are_histograms() -> None:
    fleet = FakeFleet()
    fleet.stats |= {
        "heartbeats_late_10_ms_total": 5,
        "heartbeats_late_1000_ms_total": 2,
        "heartbeats_late_more_total": 1,
        "heartbeats_late_sum_ms_total": 90_500,
    }
    samples = await scrape(fleet)
    heartbeats, loop = "dscore_heartbeat_lateness_seconds", "dscore_loop_lag_seconds"
    assert samples[f"{heartbeats}_bucket", (("le", "0.1"),)] == 5
    assert samples[f"{heartbeats}_bucket", (("le", "1.0"),)] == 7
    assert samples[f"{heartbeats}_bucket", (("le", "+Inf"),)] == 8
    assert (samples[f"{heartbeats}_count", ()], samples[f"{heartbeats}_sum", ()]) == (8, 90.5)
    assert samples[f"{loop}_bucket", (("le", "1.0"),)] == 4
    assert samples[f"{loop}_count", ()] == 5
    assert not any(name.startswith("dscore_heartbeats_late") for name, _ in samples)


async def test_round_trips_are_a_histogram_whose_sum_is_finer_than_its_bounds() -> None:
    fleet = FakeFleet()
    fleet.stats |= {
        "round_trips_1_ms_total": 4,
        "round_trips_20_ms_total": 2,
        "round_trips_more_total": 1,
        "round_trips_sum_us_total": 3_021_250,
    }
    samples = await scrape(fleet)
    name = "dscore_round_trip_seconds"
    assert samples[f"{name}_bucket", (("le", "0.001"),)] == 4
    assert samples[f"{name}_bucket", (("le", "2.0"),)] == 6
    assert samples[f"{name}_bucket", (("le", "+Inf"),)] == 7
    assert (samples[f"{name}_count", ()], samples[f"{name}_sum", ()]) == (7, 3.02125)
    assert not any(name.startswith("dscore_round_trips") for name, _ in samples)


def test_the_core_counts_round_trips_by_the_bounds_that_are_told() -> None:
    prefix = metrics._ROUND_TRIPS
    told = {f"{prefix}{bound}_ms_total" for bound in metrics.ROUND_TRIP_BOUNDS_MS}
    pool = ReactorPool(CoreConfig())
    stats = pool.stats().as_dict()
    pool.close()
    counted = {name for name in stats if name.startswith(prefix)}
    assert counted == told | {f"{prefix}more_total", f"{prefix}sum_us_total"}


async def test_refused_engineio_requests_by_reason() -> None:
    fleet = FakeFleet()
    fleet.stats |= {"engineio_refused_forbidden_total": 3, "engineio_refused_bad_request_total": 0}
    samples = await scrape(fleet)
    assert samples["dscore_engineio_refused_total", (("reason", "forbidden"),)] == 3
    assert samples["dscore_engineio_refused_total", (("reason", "bad_request"),)] == 0
    assert not any(name.startswith("dscore_engineio_refused_forbidden") for name, _ in samples)


async def test_core_figures_keep_their_kind_and_get_base_units() -> None:
    async with client_of(FakeFleet()) as client:
        text = (await client.get("/metrics")).text
    assert "# TYPE dscore_heartbeats_total counter" in text
    assert "# TYPE dscore_sent_bytes_total counter" in text
    assert "# TYPE dscore_outbox_bytes gauge" in text
    assert "dscore_heartbeats_total 7.0" in text


async def test_every_name_begins_with_dscore_or_is_the_process() -> None:
    prefixes = ("dscore_", "process_", "python_")
    assert all(name.startswith(prefixes) for name, _ in await scrape(FakeFleet("a")))


async def test_no_metric_names_an_agent() -> None:
    async with client_of(FakeFleet("agent-4711")) as client:
        assert "agent-4711" not in (await client.get("/metrics")).text


async def test_a_drain_is_told_by_outcome() -> None:
    fleet = FakeFleet("a")
    assert ("dscore_draining", ()) in await scrape(fleet)
    fleet.is_draining = True
    fleet.status = FakeStatus("terminate", 5, acked=3, pending=2, incomplete=1)
    samples = await scrape(fleet)
    assert samples["dscore_draining", ()] == 1
    assert samples["dscore_drain_agents", (("outcome", "acked"),)] == 3
    assert samples["dscore_drain_agents", (("outcome", "pending"),)] == 2
    assert samples["dscore_drain_incomplete_agents", ()] == 1


async def test_openmetrics_when_asked_for() -> None:
    async with client_of(FakeFleet()) as client:
        headers = {"accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.get("/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_terminations_by_outcome_and_how_long_they_took() -> None:
    assert LATENCY_BOUNDS_MS == terminations.LATENCY_BOUNDS_MS
    fleet = FakeFleet()
    fleet.stats |= {
        "terminations_acked_total": 3,
        "terminations_timed_out_total": 1,
        "termination_took_10_ms_total": 2,
        "termination_took_more_total": 1,
        "termination_took_sum_ms_total": 40_010,
    }
    samples = await scrape(fleet)
    assert samples["dscore_terminations_total", (("outcome", "acked"),)] == 3
    assert samples["dscore_terminations_total", (("outcome", "timed_out"),)] == 1
    assert samples["dscore_termination_seconds_bucket", (("le", "0.01"),)] == 2
    assert samples["dscore_termination_seconds_bucket", (("le", "30.0"),)] == 2
    assert samples["dscore_termination_seconds_bucket", (("le", "+Inf"),)] == 3
    assert samples["dscore_termination_seconds_sum", ()] == 40.01


async def test_a_real_server_counts_what_happens_to_it() -> None:
    async with testing.fleet("a", "b") as fleet:
        server = fleet.server
        await fleet["b"].send("watch")
        await fleet["b"].beat()
        fleet["b"].answers = "BUSY"
        assert (await server.fleet.terminate("a")).outcome == "acked"
        assert (await server.fleet.terminate("b", timeout=0.05)).outcome != "acked"
        server.reload_failed()
        missing = server.config.auth.model_copy(update={"token_file": Path("/nowhere/tokens")})
        with pytest.raises(dscore.ConfigError):
            server.reload(server.config.model_copy(update={"auth": missing}))
        stats = server.core_stats()
    assert stats["watchers"] == 1
    assert stats["terminations_acked_total"] == 1
    assert sum(v for k, v in stats.items() if k.startswith("terminations_")) == 2
    took = [v for k, v in stats.items() if k.startswith("termination_took_") and "sum" not in k]
    assert sum(took) == 1
    assert stats["reload_failures_total"] == 2, "a program's own reload counts, too"
    assert stats["limit_input_bytes"] == server.config.limits.input_bytes
    assert stats["log_lines_lost_total"] == 0


async def test_each_figure_of_a_server_has_a_help_text_of_its_own() -> None:
    async with testing.fleet() as fleet:
        families = [*metrics.FleetCollector(fleet.server).collect()]
    fallback = {each.name for each in families if each.documentation == "A figure of the reactors."}
    assert fallback == set()
    texts = [each.documentation for each in families]
    assert len(set(texts)) == len(texts)
