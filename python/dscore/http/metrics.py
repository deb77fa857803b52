"""Prometheus metrics, read from the server when asked for. None has a label per agent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fastapi import APIRouter, Request
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
from dscore.http.ports import Server
from dscore.http.serialize import OUTCOMES
from dscore.policy.liveness import ONLINE_STATES

_HELP = {
    "http_connections": "Open HTTP connections that are no WebSocket.",
    "guest_websockets": "Open WebSockets of the program's own app.",
    "guest_websockets_total": "WebSockets of the program's own app that were accepted.",
    "http_requests_total": "HTTP requests received.",
    "http_requests_running": "HTTP requests that are being answered, probes left out.",
    "http_requests_waiting": "HTTP requests that wait for their turn.",
    "http_requests_refused_total": "HTTP requests answered 503 because too many waited.",
    "http_responses_stalled_total": "HTTP connections ended because they did not read.",
    "places_taken": "Connections that count for limits.connections.",
    "places_short": "Connections that came when all places were taken, and have none.",
    "places_yielding": "Connections with a place that would give it up to an agent.",
    "descriptors_short": "1 while so few descriptors are left that no agent is let in.",
    "polling_unauthenticated": "Sessions that poll and have not introduced themselves.",
    "yielded_total": "Idle connections, and sessions never introduced, closed for others.",
    "upgrades_waiting": "Upgrades and Engine.IO openings that wait for limits.accept_rate.",
    "upgrades_delayed_total": "Upgrades and Engine.IO openings that had to wait.",
    "accepted_total": "Connections accepted.",
    "address_connections_refused_total": (
        "Connections refused because their address has as many as one may have."
    ),
    "address_introductions_refused_total": (
        "Introductions refused because their address has made as many as one may in a minute."
    ),
    "refused_total": "Connections refused: over a limit, while draining or in maintenance.",
    "handshake_failures_total": "WebSocket upgrades that were not valid.",
    "missed_heartbeats_total": "Intervals in which a heartbeat was due and none came.",
    "sessions_restored_total": "Introductions that took up an earlier session.",
    "agents_evicted_total": "Absent agents forgotten early because there were too many.",
    "requests_waiting": "Requests to agents that wait for an ack.",
    "stray_replies_total": "Acks of requests that are unknown, or over.",
    "authentication_failures_total": "Introductions and watches refused for want of a token.",
    "takeovers_total": "Connections that took over from another one of the same agent.",
    "messages_received_total": "Messages received from agents and watchers.",
    "messages_sent_total": "Messages sent to agents and watchers.",
    "bytes_received_total": "Bytes received.",
    "bytes_sent_total": "Bytes sent.",
    "heartbeats_total": "Heartbeats received.",
    "errors_total": "Messages refused with an error.",
    "unmatched_acks_total": "Answers to terminate_app whose request is unknown.",
    "slow_consumers_total": "Connections closed because they did not read.",
    "ping_timeouts_total": "Connections closed because nothing came from them.",
    "accept_errors_total": "Failures to accept a connection.",
    "events_queued": "Events that wait for Python.",
    "events_queued_bytes": "Bytes of what peers said that wait for Python.",
    "reading_paused_total": "Times that a reactor stopped reading because Python was behind.",
    "outbox_bytes": "Bytes queued for peers that have not read them yet.",
    "output_bytes": "Memory of what is queued for peers; a message for many is there once.",
    "input_bytes": "Bytes held of messages that have not come whole and of unanswered requests.",
    "outbox_dropped_total": "Messages dropped from outboxes of agents that are away.",
    "configs_dropped_total": "Configs of absent agents dropped because all took too much.",
    "missing_cells_total": "Events that the state table of agents has no cell for: a fault.",
    "clock_steps_total": "Times that the wall clock was set.",
    "sessions": "Sessions kept, of agents that are connected or may come back.",
    "undelivered_messages": "Messages that wait for agents that are away.",
    "undelivered_bytes": "The same in bytes.",
    "store_failing": "1 while nothing can be written to the store.",
    "store_waiting": "Changes that are not written yet.",
    "store_written_total": "Changes written to the store.",
    "store_lost_total": "Timeline entries dropped because the store could not take them.",
    "store_damaged_total": "Rows of the store left out because they are damaged.",
    "tls_connections": "Connections that speak TLS.",
    "tls_handshakes_running": "TLS handshakes and PROXY headers under way.",
    "tls_handshakes_waiting": "TLS handshakes that wait for limits.accept_rate.",
    "tls_handshakes_total": "TLS handshakes that led to a connection.",
    "tls_handshakes_resumed_total": "Those among them that resumed an earlier session.",
    "tls_truncated_total": "TLS connections that ended without a close_notify.",
    "tls_records_invalid_total": "TLS connections that ended with a record that was not valid.",
    "tls_reload_failures_total": "Times that certificates were read again and were not fit.",
    "proxy_headers_invalid_total": "Connections of trusted proxies without a good PROXY header.",
    "plain_refused_total": "Connections without TLS from where it is required.",
    "reload_failures_total": "Times that settings were read again and the old ones stayed.",
    "watchers": "Connections that are told of changes: pages, tools, agents that watch besides.",
    "log_lines_lost_total": "Lines of the log dropped because no reader took them.",
    "limit_input_bytes": "limits.input_bytes, which input_bytes never exceeds.",
    "limit_output_bytes": "limits.output_bytes, which output_bytes never exceeds.",
    "limit_absent_bytes": "limits.absent_bytes, which undelivered_bytes never exceeds.",
    "limit_history_bytes": "limits.history_bytes, of all timelines together.",
    "hook_errors_total": "Hooks of the policy that raised.",
    "too_many_errors_total": "Connections closed for too many errors.",
    "protocol_errors_total": "Connections that broke RFC 6455.",
    "terminates_total": "terminate_app sent.",
    "pings_total": "Transport pings sent.",
    "turns_total": "Turns of the reactors' loops.",
    "gaps_total": "Times that the server did not look at anything for a second or longer.",
}
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


def router(server: Server) -> APIRouter:
    """`/metrics` of a server, in a registry of its own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(server))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    routes = APIRouter(tags=["metrics"])

    @routes.get(
        METRICS,
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return routes


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
    help_text = _HELP.get(name, "A figure of the reactors.")
    full_name = f"dscore_{_RENAMED.get(name, name)}"
    if name.endswith("_total"):
        return CounterMetricFamily(full_name, help_text, value=value)
    return GaugeMetricFamily(full_name, help_text, value=value)
