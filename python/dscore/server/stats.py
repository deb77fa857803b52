"""Counters and gauges of one server: the core's, its parts' and its store's."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from dscore.config import Config
from dscore.log import lines_lost_total
from dscore.server.wiring import Parts
from dscore.store.behind import Behind

if TYPE_CHECKING:
    from dscore._core import Fleet


def stats(parts: Parts) -> dict[str, int]:
    """The present numbers; names of counters end in `_total`."""
    live, requests = parts.live, parts.bridge.counts()
    return {
        **live.pool.stats().as_dict(),
        "http_requests_running": requests.running,
        "http_requests_waiting": requests.waiting,
        "http_requests_refused_total": requests.refused_total,
        **asdict(live.counters),
        **live.wrong_tokens.stats(),
        "gaps_total": live.gaps.total,
        "gap_ms_total": live.gaps.ms_total,
        "missing_cells_total": live.fleet.missing_cells_total,
        "hook_errors_total": live.hooks.errors_total,
        "requests_waiting": len(parts.acks),
        "watchers": len(parts.watchers.by_conn),
        "log_lines_lost_total": lines_lost_total(),
        **parts.terminations.stats(),
        **_limits(live.config),
        "stray_replies_total": parts.acks.unmatched_total,
        **_session_stats(live.fleet),
        **_store_stats(live.store),
    }


def _limits(config: Config) -> dict[str, int]:
    """The bounds in bytes that gauges of the same name come near."""
    limits = config.limits
    names = ("input_bytes", "output_bytes", "absent_bytes", "history_bytes")
    return {f"limit_{name}": getattr(limits, name) for name in names}


def _session_stats(fleet: "Fleet") -> dict[str, int]:
    sessions, messages, size = fleet.sessions()
    return {"sessions": sessions, "undelivered_messages": messages, "undelivered_bytes": size}


def _store_stats(store: Behind) -> dict[str, int]:
    health = store.health()
    return {
        "store_failing": int(not health.is_ok),
        "store_waiting": health.waiting,
        "store_written_total": health.written_total,
        "store_lost_total": health.lost_total,
        "store_damaged_total": store.damaged_total,
    }
