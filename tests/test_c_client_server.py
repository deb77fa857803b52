"""The C client against the real server: every row of PROTOCOL §7, drains, faults, messages."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from c_client import Driver, Event, needs_c
from serving import Serving
from waiting import wait_until

pytestmark = needs_c

Serve = Callable[..., Serving]

QUICK = (
    *("instance_id=c-1", "max_reconnect_delay_sec=0.2", "server_shutdown_retry_delay_sec=0.2"),
    "reconnect_jitter_enabled=false",
)
NO_HINTS = {"DSCORE_SHUTDOWN__RECONNECT_WINDOW": "0s", "DSCORE_SHUTDOWN__NOTICE": "50ms"}


def driver(build: Path, serving: Serving, *settings: str) -> Driver:
    return Driver(build, f"url=ws://127.0.0.1:{serving.port}", *QUICK, *settings)


def last_drain(serving: Serving) -> Event:
    return serving.wait_for_log("drain_finished")


def test_terminate_app_in_a_drain_ends_both_with_0(c_build: Path, serving: Serving) -> None:
    with driver(c_build, serving) as agent:
        agent.do("handle")
        agent.until_state("ready")
        serving.process.send_signal(signal.SIGTERM)
        asked = agent.until_event("terminate")
        assert asked["reason"] == "Server shutting down"
        assert not asked["local"]
        assert 0 < asked["left"] <= 10
        agent.tell("finish true all done")
        assert agent.until_event("exited")["code"] == 0
        assert serving.wait() == 0
        assert agent.close() == 0
    assert "DeepStream client c-1 terminated gracefully" in serving.log


def test_without_a_handler_there_is_nothing_to_stop(c_build: Path, serving: Serving) -> None:
    with driver(c_build, serving) as agent:
        agent.until_state("ready")
        serving.process.send_signal(signal.SIGTERM)
        assert agent.until_event("exited")["code"] == 0
        assert serving.wait() == 0
        assert agent.status()["last_close_reason"] == "Client terminated"


def test_an_agent_that_fails_to_stop_is_told_truthfully(c_build: Path, serving: Serving) -> None:
    with driver(c_build, serving) as agent:
        agent.do("handle")
        agent.until_state("ready")
        serving.process.send_signal(signal.SIGTERM)
        agent.until_event("terminate")
        agent.tell("finish false filesink0 hangs")
        assert agent.until_event("exited")["code"] == 3
        assert serving.wait() == 3
    assert "filesink0 hangs" in serving.log


def test_an_incomplete_end_is_ok_and_5(c_build: Path, serving: Serving) -> None:
    with driver(c_build, serving) as agent:
        agent.do("handle")
        agent.until_state("ready")
        serving.process.send_signal(signal.SIGTERM)
        agent.until_event("terminate")
        agent.tell("incomplete no end of stream at filesink0")
        assert agent.until_event("exited")["code"] == 5
        assert serving.wait() == 0
    assert last_drain(serving)["incomplete"] == 1


def test_an_application_that_never_answers_is_spoken_for(c_build: Path, serving: Serving) -> None:
    with driver(c_build, serving, "graceful_shutdown_timeout_sec=0.5") as agent:
        agent.do("handle")
        agent.until_state("ready")
        # Its loop stands still: the deadline is the worker's.
        agent.block()
        serving.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "did not stop in time" in serving.log, "answer")
        agent.tell("go on")
        assert agent.until_event("exited")["code"] == 3


def test_a_main_loop_that_stands_still_delays_no_answer(c_build: Path, lasting: Serving) -> None:
    with driver(c_build, lasting) as agent:
        agent.do("func")
        agent.until_state("ready")
        agent.block()
        status, body = lasting.request("POST", "/api/v1/agents/c-1/terminate", {})
        assert (status, json.loads(body)["outcome"]) == (200, "acked")
        agent.tell("go on")
        assert agent.until_event("exited")["code"] == 0


def test_progress_buys_time_beyond_the_server_s_timeout(c_build: Path, serve: Serve) -> None:
    serving = serve(env={"DSCORE_SHUTDOWN__TIMEOUT": "300ms"})
    with driver(c_build, serving) as agent:
        agent.do("handle")
        agent.until_state("ready")
        serving.process.send_signal(signal.SIGTERM)
        agent.until_event("terminate")
        agent.tell("progress eos 4000")
        time.sleep(0.6)  # The server's own timeout is over.
        agent.tell("finish true late")
        assert agent.until_event("exited")["code"] == 0
        assert serving.wait() == 0


@pytest.mark.slow
def test_1001_waits_and_returns_to_the_restarted_server(c_build: Path, serve: Serve) -> None:
    serving = serve(env=NO_HINTS)
    with driver(c_build, serving) as agent:
        agent.do("handle")
        agent.until_state("ready")
        assert serving.stop(signal.SIGUSR1) == 0
        waiting = agent.until_state("waiting")
        assert (waiting["last_close_code"], waiting["retry_in"]) == (1001, 5.0)
        assert waiting["server_shutting_down"]
        assert not agent.send({"type": "work"})
        assert agent.send({"type": "heartbeat", "clientName": "c-1"})
        since = len(agent.lines)
        serve(port=serving.port, directory=serving.log_path.parent)
        back = agent.until_state("ready", 20.0, since=since)
        assert back["session_restored"]
        assert not back["server_shutting_down"]
        assert "terminate" not in [one.get("event") for one in agent.events]


def test_a_hint_of_a_restart_is_kept_to(c_build: Path, serve: Serve) -> None:
    serving = serve(env={"DSCORE_SHUTDOWN__NOTICE": "50ms"})
    with driver(c_build, serving) as agent:
        agent.until_state("ready")
        serving.stop(signal.SIGUSR1)
        waiting = agent.until_state("waiting")
        # 5 s and its slot, which is of no table.
        assert 5.0 <= waiting["retry_in"] <= 10.5


@pytest.mark.parametrize("checks", ["true", "false"])
def test_1013_during_a_shutdown_backs_off(c_build: Path, serve: Serve, checks: str) -> None:
    serving = serve(env={"DSCORE_SHUTDOWN__TIMEOUT": "3s"})
    url = f"url=ws://127.0.0.1:{serving.port}"
    with driver(c_build, serving) as holding:
        holding.do("handle")
        holding.until_state("ready")
        serving.process.send_signal(signal.SIGTERM)
        serving.wait_for_log("drain_started")
        settings = ("instance_id=late", f"health_check_enabled={checks}")
        with Driver(c_build, url, "reconnect_jitter_enabled=false", *settings) as late:
            waiting = late.until_state("waiting")
            code = 0 if checks == "true" else 1013
            assert (waiting["last_close_code"], waiting["retry_in"]) == (code, 10.0)
            assert waiting["server_shutting_down"]
            assert late.close() == 0
        holding.tell("finish true done")
        assert serving.wait() == 0


def test_maintenance_keeps_agents_away_and_lets_them_back(c_build: Path, lasting: Serving) -> None:
    with driver(c_build, lasting) as agent:
        agent.until_state("ready")
        since = len(agent.lines)
        lasting.request("POST", "/api/v1/maintenance", {"enabled": True})
        waiting = agent.until_state("waiting", since=since)
        assert waiting["last_close_code"] == 1013
        assert waiting["last_close_reason"] == "Server temporarily unavailable"
        since = len(agent.lines)
        lasting.request("POST", "/api/v1/maintenance", {"enabled": False})
        agent.until_state("ready", since=since)


def test_reconnect_7_taken_over_it_returns_once_the_other_one_has_gone(
    c_build: Path, lasting: Serving
) -> None:
    with driver(c_build, lasting, "identity_retry_delay_sec=0.1") as first:
        first.until_state("ready")
        with driver(c_build, lasting) as second:
            second.until_state("ready")
            first.until("takeover", lambda one: one.get("last_close_code") == 4409)
            # It asks, is told that the id is in use, and leaves the other one alone.
            first.until_status(lambda one: one["reconnect_attempts"] >= 2, "attempts")
            assert second.status()["state"] == "ready"
            since = len(first.lines)
            assert second.close() == 0
        first.until_state("ready", 30.0, since=since)


@pytest.mark.slow
def test_reconnect_7_a_token_replaced_on_the_disk_brings_it_back(
    c_build: Path, serve: Serve, tmp_path: Path
) -> None:
    environ = {"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "right"}
    serving = serve(env=environ)
    token = tmp_path / "token"
    token.write_text("wrong\n")
    with driver(c_build, serving, f"token_file={token}", "max_reconnect_delay_sec=60") as agent:
        waiting = agent.until_state("waiting")
        assert waiting["last_close_reason"] == "authentication failed"
        assert waiting["retry_in"] == 300
        token.write_text("right\n")
        agent.until_state("ready", 25.0)
        assert agent.close() == 0


def test_messages_come_as_they_were_sent_and_none_of_before_its_start(
    c_build: Path, lasting: Serving
) -> None:
    path = "/api/v1/agents/c-1/message"
    with driver(c_build, lasting) as agent:
        agent.until_state("ready")
        lasting.request("POST", path, {"type": "work", "n": 1, "text": "grün \U0001f600"})
        got = agent.until_event("message")["message"]
        assert (got["n"], got["text"]) == (1, "grün \U0001f600")
        assert agent.close() == 0
    lasting.request("POST", path, {"type": "work", "n": 2})
    with driver(c_build, lasting) as agent:
        # Another run: not a reconnection, so the old outbox is dropped (PROTOCOL §7).
        agent.until_state("ready")
        lasting.request("POST", path, {"type": "work", "n": 3})
        assert agent.until_event("message")["message"]["n"] == 3


def test_heartbeats_keep_an_agent_online(c_build: Path, serve: Serve) -> None:
    environ = {
        "DSCORE_MONITORING__HEALTH_CHECK_INTERVAL": "100ms",
        "DSCORE_MONITORING__CONNECTION_CHECK_INTERVAL": "1s",
        "DSCORE_MONITORING__MAX_MISSED_HEARTBEATS": "1",
        "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "500ms",
        "DSCORE_MONITORING__OFFLINE_TIMEOUT": "2s",
    }
    serving = serve(env=environ)

    def heartbeats() -> float:
        lines = serving.get("/metrics")[1].decode().splitlines()
        found = [line for line in lines if line.startswith("dscore_heartbeats_total")]
        return sum(float(line.split()[-1]) for line in found)

    with driver(c_build, serving) as agent:
        agent.until_state("ready")
        # For longer than an agent without them is taken for one that lives.
        wait_until(lambda: heartbeats() >= 25, "heartbeats", 30.0)
        assert agent.status()["last_close_code"] == 0
        [one] = json.loads(serving.get("/api/v1/agents")[1])["items"]
        assert one["status"] == "online"


def test_a_server_killed_with_9_is_noticed_at_once_and_found_again(
    c_build: Path, serve: Serve
) -> None:
    serving = serve()
    with driver(c_build, serving) as agent:
        agent.until_state("ready")
        serving.process.kill()
        agent.until("cut", lambda one: one.get("last_close_code") == 1006, 30.0)
        assert not agent.status()["server_shutting_down"]
        assert agent.send({"type": "work"})
        since = len(agent.lines)
        serving.wait()
        serve(port=serving.port, directory=serving.log_path.parent)
        agent.until_state("ready", 20.0, since=since)
        agent.until_status(lambda one: one["queued"] == 0, "flush")


@pytest.mark.timed
def test_a_stopped_server_is_left_within_the_ping_timeout(c_build: Path, lasting: Serving) -> None:
    times = ("ping_interval_sec=0.2", "ping_timeout_sec=0.3", "health_check_timeout_sec=0.2")
    with driver(c_build, lasting, *times) as agent:
        agent.until_state("ready")
        lasting.process.send_signal(signal.SIGSTOP)
        try:
            cut = agent.until("end", lambda one: one.get("last_close_code") == 1006, 30.0)
            assert cut["last_close_reason"] == "ping timeout"
            # The kernel still takes connections for it; the health page tells the truth.
            agent.until_status(lambda one: one["health"] == "unreachable", "look")
            since = len(agent.lines)
        finally:
            lasting.process.send_signal(signal.SIGCONT)
        agent.until_state("ready", since=since)


@pytest.mark.timed
def test_a_stopped_agent_takes_its_own_sleep_for_no_silence(
    c_build: Path, lasting: Serving
) -> None:
    times = ("ping_interval_sec=0.5", "ping_timeout_sec=1")
    with driver(c_build, lasting, *times) as agent:
        agent.until_state("ready")
        agent.process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)  # More than both.
        agent.process.send_signal(signal.SIGCONT)
        lasting.request("POST", "/api/v1/agents/c-1/message", {"type": "work"})
        agent.until_event("message")
        assert agent.status()["last_close_code"] == 0


def test_stopped_on_this_machine_the_server_hears_why(c_build: Path, lasting: Serving) -> None:
    with driver(c_build, lasting) as agent:
        agent.until_state("ready")
        agent.do("handle")
        agent.tell("stop SIGTERM")
        assert agent.until_event("terminate")["local"]
        agent.tell("finish true done")
        assert agent.until_event("exited")["code"] == 0

    def told() -> bool:
        events = json.loads(lasting.get("/api/v1/agents/c-1/events")[1])["items"]
        return any("stopped: SIGTERM" in json.dumps(one) for one in events)

    wait_until(told, "reason on the server")


def test_closed_while_the_application_stops_the_answer_goes_out_first(
    c_build: Path, serving: Serving
) -> None:
    with driver(c_build, serving) as agent:
        agent.do("handle")
        agent.do("func")
        agent.until_state("ready")
        serving.process.send_signal(signal.SIGTERM)
        agent.until_event("stop_func")
        agent.tell("close 10000000")
        assert agent.until_event("closed")["code"] == 0
        assert serving.wait() == 0
    # Written last, so there when the server has ended.
    assert "DeepStream client c-1 terminated gracefully" in serving.log


@pytest.mark.slow
def test_200_reconnects_leak_nothing(c_build: Path, lasting: Serving) -> None:
    settings = ("health_check_enabled=false", "identity_retry_delay_sec=0.001")

    def used(pid: int) -> tuple[int, int, int]:
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return descriptors, int(fields["Threads"]), int(fields["VmRSS"].split()[0])

    def cycle(agent: Driver, times: int) -> None:
        for _ in range(times):
            since = len(agent.lines)
            lasting.request("DELETE", "/api/v1/agents/c-1")
            agent.until_state("ready", since=since)

    fast = (*settings, "max_reconnect_delay_sec=0.001")
    with driver(c_build, lasting, *fast) as agent:
        agent.until_state("ready")
        cycle(agent, 50)
        before = used(agent.pid)
        cycle(agent, 200)
        after = used(agent.pid)
        assert after[0] == before[0]
        assert after[1] <= before[1]
        assert after[2] - before[2] <= 64
