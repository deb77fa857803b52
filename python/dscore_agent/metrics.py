"""What Prometheus may ask of one agent, on this machine only, and only if the settings say so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dscore_agent.errors import ConfigError
from dscore_agent.status import State

if TYPE_CHECKING:
    from prometheus_client import Metric

    from dscore_agent.client import Agent

HOST = "127.0.0.1"


class AgentCollector:
    """Reads the agent's status when it is asked for."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterable[Metric]:
        """The metrics of this moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self._agent.status
        states = GaugeMetricFamily(
            "dscore_agent_state", "1 for the state the agent is in.", labels=["state"]
        )
        for state in State:
            states.add_metric([state.name.lower()], float(status.state is state))
        yield states
        for name, text, value in (
            (
                "reconnect_attempts",
                "Attempts since the last connection that held.",
                status.reconnect_attempts,
            ),
            (
                "last_close_code",
                "Of the last connection that ended; 0: none has.",
                status.last_close_code,
            ),
            ("server_shutting_down", "1 while new work is refused.", status.server_shutting_down),
            ("outbox_messages", "Messages that wait for the connection.", status.queued),
        ):
            yield GaugeMetricFamily(f"dscore_agent_{name}", text, value=float(value))
        yield CounterMetricFamily(
            "dscore_agent_outbox_dropped", "Messages lost because too many waited.", status.dropped
        )


@contextlib.contextmanager
def serve_metrics(agent: Agent, port: int | None) -> Iterator[None]:
    """Answers at http://127.0.0.1:port/metrics meanwhile; None: nowhere.

    Raises:
        ConfigError: The port cannot be had, or prometheus-client is not installed.
    """
    if port is None:
        yield
        return
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        sentence = "metrics_port needs prometheus-client: pip install 'dscore-agent[metrics]'"
        raise ConfigError(sentence) from None

    registry = CollectorRegistry()
    registry.register(AgentCollector(agent))
    try:
        server, thread = start_http_server(port, HOST, registry)
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise ConfigError(f"metrics_port: cannot listen on {HOST}:{port}: {cause}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
