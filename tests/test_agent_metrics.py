"""What Prometheus hears of one agent."""

import socket
import urllib.request

import pytest

from dscore_agent import Agent, AgentConfig, ConfigError
from dscore_agent.metrics import serve_metrics
from ports import lasting


def test_answers_on_this_machine_while_it_is_asked_to() -> None:
    agent = Agent(AgentConfig(outbox_limit=1))
    agent.send({"type": "work"})
    agent.send({"type": "work"})
    port = lasting()
    url = f"http://127.0.0.1:{port}/metrics"
    with serve_metrics(agent, port), urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    assert 'dscore_agent_state{state="idle"} 1.0' in text
    assert "dscore_agent_outbox_messages 1.0" in text
    assert "dscore_agent_outbox_dropped_total 1.0" in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)


def test_without_a_port_no_socket_listens() -> None:
    with serve_metrics(Agent(AgentConfig()), None):
        pass


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"metrics_port: cannot listen on 127.0.0.1:{port}"),
            serve_metrics(Agent(AgentConfig()), port),
        ):
            pass
