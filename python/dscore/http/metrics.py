"""Prometheus metrics, read from the server when asked for. None has a label per agent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fastapi import Request
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response

from dscore._core import __version__
from dscore.history import STATES
from dscore.http.access import METRICS
from dscore.http.metric_texts import HELP
from dscore.http.ports import Server
from dscore.http.serialize import OUTCOMES
from dscore.http.served import shared_router
from dscore.policy.liveness import ONLINE_STATES

# Prometheus wants the unit last, before _total.
_RENAMED = {"bytes_received_total": "received_bytes_total", "bytes_sent_total": "sent_bytes_total"}
# Told with a label, or as a histogram, instead.
_SKIPPED = frozenset(("connections", "connections_unauthenticated", "gap_ms_total"))
_LATE = "heartbeats_late_"
_REFUSED = "engineio_refused_"
_WRONG = "wrong_tokens_"
_REFUSED_HELP = "Requests to Engine.IO endpoints that were refused, by what the client was told."
_TLS_REFUSED = "tls_refused_"
_TLS_REFUSED_HELP = "TLS handshakes that led to no connection, by why."
_WRONG_HELP = "Wrong tokens, by what they came with."
_TERMINATIONS = "terminations_"
_TERMINATIONS_HELP = "Agents that were terminated one by one or in bulk, by outcome."
_TOOK = "termination_took_"
_ROUND_TRIPS = "round_trips_"
_TOLD_APART = (_LATE, _ROUND_TRIPS, _REFUSED, _WRONG, _TLS_REFUSED, _TERMINATIONS, _TOOK)
LATENCY_BOUNDS_MS: Final = (10, 100, 1000, 5000, 10_000, 30_000)
"""Of terminations, as `server.terminations` counts them."""
ROUND_TRIP_BOUNDS_MS: Final = (1, 5, 20, 100, 500, 2000)
"""From a fleet in one building to one behind a mobile network that buffers."""
LATENESS_BOUNDS_MS: Final = (10, 100, 1000, 5000, 15000, 60000)


def registry_of(server: Server) -> CollectorRegistry:
    """What `/metrics` tells of a server and its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(server))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


routes = shared_router("metrics")
"""`/metrics`."""


@routes.get(
    METRICS,
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    content = encode(request.app.state.registry)
    return Response(content, headers={"content-type": content_type})


class FleetCollector(Collector):
    """Makes metrics of what a server tells; keeps nothing."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Reads the server once."""
        yield from self._connections()
        yield self._agents()
        yield self._dialects()
        yield from self._phase()
        yield self._disconnects()
        stats = self._server.core_stats()
        yield from self._lateness(stats)
        yield _histogram(
            stats,
            _TOOK,
            LATENCY_BOUNDS_MS,
            "dscore_termination_seconds",
            "How long agents took that stopped as asked; those of a drain are in its report.",
        )
        yield _labelled(stats, _TERMINATIONS, "outcome", _TERMINATIONS_HELP)
        yield CounterMetricFamily(
            "dscore_gap_seconds_total",
            "How long those times were together: they count for no deadline.",
            value=stats.get("gap_ms_total", 0) / 1000,
        )
        yield _labelled(stats, _REFUSED, "reason", _REFUSED_HELP)
        yield _labelled(stats, _WRONG, "where", _WRONG_HELP)
        yield _labelled(stats, _TLS_REFUSED, "reason", _TLS_REFUSED_HELP)
        yield self._certificates()
        for name, value in stats.items():
            if name not in _SKIPPED and not name.startswith(_TOLD_APART):
                yield _core_metric(name, value)

    def _connections(self) -> Iterator[Metric]:
        counts = self._server.fleet.counts()
        connections = GaugeMetricFamily(
            "dscore_connections",
            "Open connections: WebSockets, and Socket.IO sessions that are polling.",
            labels=["state"],
        )
        connections.add_metric(["authenticated"], counts.authenticated)
        connections.add_metric(["unauthenticated"], counts.unauthenticated)
        yield connections

    def _agents(self) -> Metric:
        agents = GaugeMetricFamily(
            "dscore_agents", "Agents known, connected or not.", labels=["state", "status"]
        )
        # All of them, also those that are zero: a series that comes and goes makes gaps in graphs.
        counts = self._server.fleet.states()
        for state in STATES:
            status = "online" if state in ONLINE_STATES else "offline"
            agents.add_metric([state, status], counts.get(state, 0))
        return agents

    def _dialects(self) -> Metric:
        agents = GaugeMetricFamily(
            "dscore_connected_agents", "Agents that are connected.", labels=["dialect"]
        )
        for dialect, count in self._server.fleet.dialects().items():
            agents.add_metric([dialect], count)
        return agents

    def _certificates(self) -> Metric:
        ends = GaugeMetricFamily(
            "dscore_tls_certificate_expiry_timestamp_seconds",
            "When a certificate of the server ends, or one of its chain.",
            labels=["certificate"],
        )
        for path, not_after in self._server.tls.certificates():
            ends.add_metric([path], not_after)
        return ends

    def _disconnects(self) -> Metric:
        disconnects = CounterMetricFamily(
            "dscore_disconnects_total",
            "Connections of agents that have ended.",
            labels=["reason", "code", "initiator"],
        )
        for kind, count in self._server.fleet.disconnects():
            disconnects.add_metric([kind.reason, kind.code, kind.initiator], count)
        return disconnects

    def _lateness(self, stats: Mapping[str, int]) -> Iterator[Metric]:
        lag = self._server.loop_lag
        yield HistogramMetricFamily(
            "dscore_loop_lag_seconds",
            "How late the Python loop was, measured every second.",
            buckets=[(_bound(bound), count) for bound, count in lag.buckets()],
            sum_value=lag.sum,
        )
        yield _histogram(
            stats,
            _LATE,
            LATENESS_BOUNDS_MS,
            "dscore_heartbeat_lateness_seconds",
            "How long after they were due heartbeats came.",
        )
        yield _histogram(
            stats,
            _ROUND_TRIPS,
            ROUND_TRIP_BOUNDS_MS,
            "dscore_round_trip_seconds",
            "From a transport ping to its answer, of every connection; pings come each "
            "socket.ping_interval.",
        )

    def _phase(self) -> Iterator[Metric]:
        server = self._server
        build = GaugeMetricFamily(
            "dscore_build_info", "Always 1; the label says what runs.", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily(
            "dscore_uptime_seconds", "Seconds since the start.", value=server.uptime
        )
        yield GaugeMetricFamily(
            "dscore_ready", "1 while agents are let in.", value=float(server.is_ready)
        )
        yield GaugeMetricFamily(
            "dscore_draining", "1 during a drain.", value=float(server.is_draining)
        )
        yield GaugeMetricFamily(
            "dscore_maintenance", "1 in maintenance.", value=float(server.maintenance)
        )
        status = server.drain_status()
        if status is not None:
            drain = GaugeMetricFamily(
                "dscore_drain_agents", "Agents of the drain, by outcome.", labels=["outcome"]
            )
            for outcome in OUTCOMES:
                drain.add_metric([outcome], getattr(status, outcome))
            yield drain
            yield GaugeMetricFamily(
                "dscore_drain_incomplete_agents",
                "Agents of the drain that stopped as asked, but a stream did not reach its end.",
                value=status.incomplete,
            )


def _histogram(
    stats: Mapping[str, int], prefix: str, bounds_ms: Sequence[int], name: str, help_text: str
) -> Metric:
    """One of counters in milliseconds whose names begin alike; the sum may be in microseconds."""
    buckets, count = [], 0
    for bound_ms in bounds_ms:
        count += stats.get(f"{prefix}{bound_ms}_ms_total", 0)
        buckets.append((_bound(bound_ms / 1000), count))
    buckets.append(("+Inf", count + stats.get(f"{prefix}more_total", 0)))
    total = (
        stats.get(f"{prefix}sum_ms_total", 0) / 1e3 + stats.get(f"{prefix}sum_us_total", 0) / 1e6
    )
    return HistogramMetricFamily(name, help_text, buckets=buckets, sum_value=total)


def _labelled(stats: Mapping[str, int], prefix: str, label: str, help_text: str) -> Metric:
    """One metric of all counters whose names begin alike; the rest of the name is the label."""
    metric = CounterMetricFamily(f"dscore_{prefix}total", help_text, labels=[label])
    for name, value in stats.items():
        if name.startswith(prefix):
            metric.add_metric([name.removeprefix(prefix).removesuffix("_total")], value)
    return metric


def _bound(seconds: float) -> str:
    return "+Inf" if seconds == float("inf") else str(seconds)


def _core_metric(name: str, value: int) -> Metric:
    help_text = HELP.get(name, "A figure of the reactors.")
    full_name = f"dscore_{_RENAMED.get(name, name)}"
    if name.endswith("_total"):
        return CounterMetricFamily(full_name, help_text, value=value)
    return GaugeMetricFamily(full_name, help_text, value=value)
