"""The operator's commands, through the real client and the real pages, over a fake fleet."""

import asyncio
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
import orjson
import pytest

from dscore import operator_token
from dscore.auth import Tokens
from dscore.cli import client as client_module
from dscore.cli import run, shutdown
from dscore.store import Entry, StoreHealth
from fake_fleet import FakeAgent, FakeFleet
from ports import lasting
from test_http_app import OWN, app_of

DEADLINE = 30.0

Invoke = Callable[..., tuple[int, str, str]]
Serve = Callable[..., None]
Loop: TypeAlias = asyncio.AbstractEventLoop


class Portal(httpx.BaseTransport):
    """Carries the requests of a synchronous client to an app on another thread's loop."""

    def __init__(self, app: Any, loop: Loop) -> None:
        self._app = httpx.ASGITransport(app=app)
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        answer = asyncio.run_coroutine_threadsafe(self._ask(request), self._loop)
        return answer.result(DEADLINE)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=await answer.aread()
        )


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE)
    loop.close()


@pytest.fixture
def serving(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the client's connections end at a fleet's pages."""

    def serve(fleet: FakeFleet, tokens: Tokens | None = None) -> None:
        app = app_of(fleet, tokens=tokens)
        operator_token.leave("127.0.0.1", 8765, OWN, os.environ)
        make = httpx.Client
        monkeypatch.setattr(
            client_module.httpx,
            "Client",
            lambda **options: make(**{**options, "transport": Portal(app, loop)}),
        )

    return serve


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    for name in ("DSCORE_URL", "DSCORE_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        output = capsys.readouterr()
        return code, output.out, output.err

    return invoke


@pytest.fixture
def closed_port() -> int:
    """A port without a listener."""
    return lasting()


def test_a_server_that_is_not_there_is_one_line_with_a_remedy(
    invoke: Invoke, closed_port: int
) -> None:
    for command in ("status", "agents", "drain", "maintenance"):
        code, out, err = invoke(command, "--url", f"http://127.0.0.1:{closed_port}")
        assert (code, out) == (1, "")
        assert err == (
            f"dscore: cannot reach http://127.0.0.1:{closed_port}: connection refused; "
            "is the server running? (--url or DSCORE_URL says where)\n"
        )


def test_a_server_that_is_none_of_ours_is_told_apart(invoke: Invoke, monkeypatch) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(404, text="nope"))
    make = httpx.Client
    monkeypatch.setattr(
        client_module.httpx, "Client", lambda **o: make(**{**o, "transport": transport})
    )
    code, _, err = invoke("status")
    assert code == 1
    assert "404 Not Found" in err
    assert "check --url" in err


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "5", "null", "hello", '{"status":"ok"}', '{"items":[{}],"next_cursor":null}'),
        '{"agents":{},"agent":[],"outcome":5,"enabled":"yes","report":{},"page":1}',
    ],
)
@pytest.mark.parametrize(
    "words",
    [
        *("status", "agents", "why a", "page", "maintenance", "maintenance on"),
        *("drain", "drain --no-wait", "terminate a", "terminate"),
    ],
)
def test_what_answers_other_documents_is_no_dscore_server(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, words: str, body: str
) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=body))
    make = httpx.Client
    monkeypatch.setattr(
        client_module.httpx, "Client", lambda **o: make(**{**o, "transport": transport})
    )
    arguments = ["terminate", "--all", "--yes"] if words == "terminate" else words.split()
    assert invoke(*arguments) == (
        1,
        "",
        "dscore: http://127.0.0.1:8765 does not answer like a dscore server; check --url\n",
    )


def test_an_address_with_a_path_too_many_is_named(invoke: Invoke, monkeypatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"detail": "There is nothing at this path."})

    make, transport = httpx.Client, httpx.MockTransport(answer)
    monkeypatch.setattr(
        client_module.httpx, "Client", lambda **o: make(**{**o, "transport": transport})
    )
    _, _, err = invoke("status", "--url", "http://127.0.0.1:8765/metrics")
    assert "check --url, http://127.0.0.1:8765/metrics: it needs no path" in err


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://a:x", "://"])
def test_an_address_that_is_none_is_wrong_usage(invoke: Invoke, url: str) -> None:
    code, _, err = invoke("status", "--url", url)
    assert code == 2
    assert err.count("\n") == 1


def test_the_address_may_come_from_the_environment(
    invoke: Invoke, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSCORE_URL", f"localhost:{closed_port}")
    assert f"http://localhost:{closed_port}" in invoke("status")[2]


def test_status_in_words_and_as_json(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("a", "b")
    fleet.by_id["b"].status = fleet.by_id["b"].state = "offline"
    serving(fleet)
    code, out, _ = invoke("status")
    assert code == 0
    assert "ok, up 12 s" in out
    assert "2: 1 online, 1 offline" in out
    assert "loop         2.0 ms late" in out
    assert "store        ok" in out
    code, out, _ = invoke("status", "--json")
    assert orjson.loads(out)["agents"]["total"] == 2


def test_status_names_unusual_states_and_a_store_that_fails(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.by_id["b"].state, fleet.by_id["c"].state = "late", "reconnecting"
    fleet.store = StoreHealth(is_ok=False, reason="disk full", waiting=1200, lost_total=3)
    serving(fleet)
    out = invoke("status")[1]
    assert "3: 3 online, 0 offline (1 late, 1 reconnecting)" in out
    assert "failing: disk full; 1,200 changes wait, 3 entries lost" in out


def test_status_of_a_draining_server_is_its_drain(
    invoke: Invoke, serving: Serve, loop: Loop
) -> None:
    fleet = FakeFleet("a", "b")
    serving(fleet)
    asyncio.run_coroutine_threadsafe(asyncio.wait_for(fleet.drain(), DEADLINE), loop)
    assert "2 agents: 2 pending" in invoke("drain", "--no-wait")[1]
    code, out, _ = invoke("status")
    assert code == 0
    first, bar, *left = out.splitlines()
    assert first == "http://127.0.0.1:8765: shutting down, 2 agents: 2 pending"
    assert bar == f"  [{'.' * 40}]"
    assert all(line.startswith("  ") for line in left)
    assert invoke("drain", "--status")[1] == out
    assert orjson.loads(invoke("drain", "--status", "--json")[1])["pending"] == 2
    document = orjson.loads(invoke("status", "--json")[1])
    assert (document["status"], document["drain"]["pending"]) == ("shutting_down", 2)
    loop.call_soon_threadsafe(fleet.drain_may_end.set)


def test_drain_status_of_a_server_that_does_not_drain_starts_none(
    invoke: Invoke, serving: Serve
) -> None:
    fleet = FakeFleet("a")
    serving(fleet)
    assert invoke("drain", "--status")[:2] == (0, "http://127.0.0.1:8765: no drain\n")
    assert fleet.drains == []


def test_a_token_is_asked_for_and_taken_from_flag_or_environment(
    invoke: Invoke, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving(FakeFleet(), Tokens(["secret"], role="operator"))
    code, _, err = invoke("status")
    assert code == 1
    assert "--token or DSCORE_TOKEN" in err
    assert invoke("status", "--token", "secret")[0] == 0
    monkeypatch.setenv("DSCORE_TOKEN", "secret")
    assert invoke("status")[0] == 0


def test_agents_as_a_table(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("cam-1", "cam-2")
    fleet.by_id["cam-2"].status = "offline"
    fleet.by_id["cam-2"].reason_code = "reconnect_timeout"
    fleet.by_id["cam-2"].connected = False
    serving(fleet)
    code, out, _ = invoke("agents")
    assert code == 0
    heading, first, second = out.splitlines()
    assert heading.split()[:3] == ["ID", "STATUS", "STATE"]
    assert first.split()[:4] == ["cam-1", "online", "connected", "10.0.0.1"]
    assert re.split(" {2,}", first)[5].endswith(" ago")
    # An agent that is away has no connected-since.
    assert second.split()[:6] == ["cam-2", "offline", "reconnect_timeout", "10.0.0.1", "-", "-"]


def test_agents_ends_with_their_total(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.by_id["c"].status = "offline"
    serving(fleet)
    assert invoke("agents")[2] == "3 agents: 2 online, 1 offline\n"
    assert invoke("agents", "--limit", "2")[2] == "2 of 3 agents\n"
    assert invoke("agents", "--q", "zzz")[2] == "no agent\n"
    assert orjson.loads(invoke("agents", "--limit", "2", "--json")[1])["total"] == 3


def test_what_the_server_cannot_read_was_typed_wrongly(invoke: Invoke, serving: Serve) -> None:
    serving(FakeFleet())
    code, out, err = invoke("agents", "--q", "x" * 500)
    assert (code, out) == (2, "")
    assert "query.q" in err


def test_agents_reads_every_page_and_stops_at_the_limit(
    invoke: Invoke, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dscore.cli.operate.PAGE", 10)
    serving(FakeFleet(*(f"{number:02}" for number in range(25))))
    items = orjson.loads(invoke("agents", "--json")[1])["items"]
    assert [item["id"] for item in items] == [f"{number:02}" for number in range(25)]
    document = orjson.loads(invoke("agents", "--json", "--limit", "12", "--sort", "-id")[1])
    assert [item["id"] for item in document["items"]] == [f"{n:02}" for n in range(24, 12, -1)]
    assert document["next_cursor"]


def test_agents_hands_its_filters_on(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("cam-1", "cam-2", "box")
    fleet.by_id["cam-2"].status = "offline"
    serving(fleet)
    assert [i["id"] for i in orjson.loads(invoke("agents", "--json", "-q", "cam")[1])["items"]] == [
        "cam-1",
        "cam-2",
    ]
    out = invoke("agents", "--json", "--status", "offline")[1]
    assert [item["id"] for item in orjson.loads(out)["items"]] == ["cam-2"]
    fleet.by_id["box"].labels = {"site": "busan", "line": "3"}
    out = invoke("agents", "--json", "--label", "site=busan", "-l", "line")[1]
    assert [item["id"] for item in orjson.loads(out)["items"]] == ["box"]
    assert orjson.loads(invoke("agents", "--json", "--dialect", "socketio")[1])["items"] == []
    assert orjson.loads(invoke("agents", "--json", "--reason", "operator")[1])["items"] == []


def test_an_id_cannot_write_to_the_terminal(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("\x1b]0;pwned\x07", "[red]x", "two\nlines")
    serving(fleet)
    out = invoke("agents")[1]
    assert "\x1b" not in out
    assert "\\x1b]0;pwned" in out
    assert "[red]x" in out
    assert len(out.splitlines()) == 4


def test_maintenance_is_shown_and_switched(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet()
    serving(fleet)
    assert invoke("maintenance")[1] == "maintenance is off\n"
    assert invoke("maintenance", "on") == (0, "maintenance is on\n", "")
    assert fleet.maintenance is True
    assert orjson.loads(invoke("maintenance", "off", "--json")[1]) == {"enabled": False}
    assert invoke("maintenance", "maybe")[0] == 2


def test_drain_waits_for_the_report(invoke: Invoke, serving: Serve, loop: Loop) -> None:
    fleet = FakeFleet("a", "b", "c")
    serving(fleet)
    loop.call_soon_threadsafe(loop.call_later, 0.05, fleet.drain_may_end.set)
    code, out, err = invoke("drain", "--intent", "terminate", "--timeout", "90s")
    assert (code, out, err) == (0, "drained in 0.0 s, 3 agents: 3 acked\n", "")
    assert fleet.drains == [("terminate", 90.0)]


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ((), "do with its 2 agents what its shutdown.intent says?"),
        (("--intent", "terminate"), "stop the applications of its 2 agents?"),
        (("--intent", "restart", "--no-wait"), "let go of its 2 agents?"),
    ],
)
def test_a_drain_asks_on_a_terminal(
    invoke: Invoke,
    serving: Serve,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    question: str,
) -> None:
    fleet = FakeFleet("a", "b")
    serving(fleet)
    asked: list[str] = []

    def confirm(text: str, **_: object) -> None:
        asked.append(text)
        raise shutdown.typer.Abort

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutdown.typer, "confirm", confirm)
    assert invoke("drain", *words) == (1, "", "dscore: nothing was done\n")
    assert fleet.drains == []
    [said] = asked
    assert said.startswith("Shut http://127.0.0.1:")
    assert said.endswith(question)
    fleet.drain_may_end.set()
    assert invoke("drain", *words, "--yes")[0] == 0
    assert len(fleet.drains) == 1


def test_a_drain_that_lost_some_exits_with_3_and_names_them(
    invoke: Invoke, serving: Serve, loop: Loop
) -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.mute = 1
    fleet.drain_may_end.set()
    serving(fleet)
    code, out, err = invoke("drain")
    assert code == 3
    assert "2 acked, 1 timed out" in out
    assert err == "did not stop: a\n"
    fleet.status = None
    fleet.is_draining = False
    code, out, _ = invoke("drain", "--json")
    assert code == 3
    assert orjson.loads(out)["not_acked"] == ["a"]


def test_a_drain_that_lost_many_names_the_first(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet(*(f"{number:02}" for number in range(20)))
    fleet.mute = 15
    fleet.drain_may_end.set()
    serving(fleet)
    err = invoke("drain")[2]
    assert err == "did not stop: 00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 5 more\n"


def test_drain_goes_on_waiting_past_one_call(
    invoke: Invoke, serving: Serve, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "HOLD", 0.01)
    fleet = FakeFleet("a")
    serving(fleet)
    loop.call_soon_threadsafe(loop.call_later, 0.1, fleet.drain_may_end.set)
    assert invoke("drain")[0] == 0
    assert len(fleet.drains) == 1


def test_drain_shows_a_bar_on_a_terminal(
    invoke: Invoke, serving: Serve, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "REFRESH", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fleet = FakeFleet("a", "b")
    serving(fleet)
    loop.call_soon_threadsafe(loop.call_later, 0.2, fleet.drain_may_end.set)
    code, out, err = invoke("drain")
    assert (code, out) == (0, "drained in 0.0 s, 2 agents: 2 acked\n")
    assert "draining" in err
    assert "2/2" in err


def test_drain_without_waiting(invoke: Invoke, serving: Serve, loop: Loop) -> None:
    fleet = FakeFleet("a")
    serving(fleet)
    code, out, _ = invoke("drain", "--no-wait")
    assert (code, out) == (0, "http://127.0.0.1:8765 shuts down, 1 agent: 1 pending\n")
    assert orjson.loads(invoke("drain", "--no-wait", "--json")[1])["pending"] == 1
    loop.call_soon_threadsafe(fleet.drain_may_end.set)


@pytest.mark.parametrize(
    ("present", "outcome", "code"),
    [(["a", "b"], "acked", 0), (["a"], "acked", 3), ([], "acked", 1), (["a", "b"], "failed", 1)],
)
def test_terminate_exits_by_how_many_stopped(
    invoke: Invoke, serving: Serve, present: list[str], outcome: str, code: int
) -> None:
    fleet = FakeFleet(*present)
    fleet.outcome = outcome
    serving(fleet)
    result, out, _ = invoke("terminate", "a", "b", "a", "--timeout", "3", "--json")
    assert result == code
    items = orjson.loads(out)["items"]
    assert [item["id"] for item in items] == ["a", "b"]
    assert sorted(fleet.terminated) == [(each, 3.0) for each in present]


def test_terminate_says_how_each_one_ended(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("a", "b/ü")
    fleet.by_id["b/ü"].connected = False
    serving(fleet)
    code, out, _ = invoke("terminate", "a", "b/ü", "c")
    assert code == 3
    assert out.splitlines() == [
        "a: stopped in 2 ms",
        "b/ü: agent 'b/ü' is not connected",
        "c: no agent has the id 'c'",
    ]


@pytest.mark.parametrize(
    ("outcome", "last_word", "line"),
    [
        ("failed", "the pipeline hangs\x1b", "a: failed: the pipeline hangs\\x1b"),
        ("timed_out", "", "a: timed out (dscore why a tells more)"),
        ("notified", "", "a: notified (dscore why a tells more)"),
    ],
)
def test_terminate_tells_the_cause_that_the_server_knows(
    invoke: Invoke, serving: Serve, outcome: str, last_word: str, line: str
) -> None:
    fleet = FakeFleet("a")
    fleet.outcome, fleet.last_word = outcome, last_word
    serving(fleet)
    assert invoke("terminate", "a")[:2] == (1, f"{line}\n")
    [item] = orjson.loads(invoke("terminate", "a", "--json")[1])["items"]
    assert (item["message"], item["complete"]) == (last_word, None)


def test_terminate_and_drain_say_where_a_stream_was_lost(invoke: Invoke, serving: Serve) -> None:
    fleet = FakeFleet("a")
    fleet.incomplete = 1
    serving(fleet)
    code, out, _ = invoke("terminate", "a")
    assert (code, out) == (
        0,
        "a: stopped in 2 ms; a stream did not reach its end (dscore why tells more)\n",
    )
    fleet.drain_may_end.set()
    assert invoke("drain")[:2] == (0, "drained in 0.0 s, 1 agent: 1 acked, 1 incomplete\n")


def test_terminate_all_takes_the_connected_ones(
    invoke: Invoke, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = FakeFleet("a", "b")
    fleet.by_id["away"] = FakeAgent("away", connected=False, state="reconnecting")
    serving(fleet)
    code, _, err = invoke("terminate", "--all")
    assert code == 2
    assert "--yes" in err
    assert fleet.terminated == []
    assert invoke("terminate", "--all", "--yes")[0] == 0
    assert sorted(fleet.terminated) == [("a", None), ("b", None)]


def test_terminate_all_asks_on_a_terminal(
    invoke: Invoke, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = FakeFleet("a")
    serving(fleet)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutdown.typer, "confirm", lambda *_, **__: _abort())
    assert invoke("terminate", "--all") == (1, "", "dscore: nothing was done\n")
    assert fleet.terminated == []


def _abort() -> None:
    raise shutdown.typer.Abort


def test_terminate_all_of_an_empty_fleet_is_a_failure(invoke: Invoke, serving: Serve) -> None:
    serving(FakeFleet())
    assert invoke("terminate", "--all", "--yes") == (1, "", "dscore: no agent is connected\n")


@pytest.mark.parametrize(
    "arguments",
    [[], ["a", "--all"], ["a", "--timeout", "soon"], ["--all", "--q", "a"], ["a", "--pause", "x"]],
)
def test_terminate_used_wrongly(invoke: Invoke, arguments: list[str]) -> None:
    code, _, err = invoke("terminate", *arguments)
    assert code == 2
    assert err.count("\n") == 1


def busan(count: int, *, failing: set[int] = frozenset()) -> FakeFleet:  # type: ignore[assignment]
    fleet = FakeFleet(*(f"cam-{n}" for n in range(count)), "other")
    fleet.fails = {f"cam-{n}" for n in failing}
    for n in range(count):
        fleet.by_id[f"cam-{n}"].labels = {"site": "busan"}
    return fleet


WAVES = [
    "terminate",
    "--label",
    "site=busan",
    "--wave",
    "5",
    "--pause",
    "0.01",
    "--max-failed",
    "2",
    "--yes",
]


def test_terminate_in_waves_stops_at_the_third_failure_and_says_who_is_left(
    invoke: Invoke, serving: Serve
) -> None:
    fleet = busan(30, failing={1, 2, 6, 7, 8, 9})
    serving(fleet)
    code, out, err = invoke(*WAVES)
    assert code == 3
    assert out.splitlines()[:3] == ["cam-1: timed out", "cam-2: timed out", "cam-6: timed out"]
    assert "of 30 agents stopped, 3 timed out" in out
    assert "more failed than 2; " in err
    assert "left that were not asked: cam-" in err
    assert ("other", None) not in fleet.terminated
    assert 4 <= len(fleet.terminated) <= 7


def test_terminate_in_waves_goes_through_where_enough_stop(invoke: Invoke, serving: Serve) -> None:
    fleet = busan(12, failing={1, 2})
    serving(fleet)
    code, out, err = invoke(*WAVES)
    assert (code, err) == (3, "")
    assert out.splitlines()[-1] == "10 of 12 agents stopped, 2 timed out"
    code, out, _ = invoke(*WAVES, "--json")
    assert orjson.loads(out)["state"] == "done"


def test_terminate_counts_first(invoke: Invoke, serving: Serve) -> None:
    fleet = busan(12)
    serving(fleet)
    code, out, _ = invoke("terminate", "--label", "site=busan", "--dry-run")
    assert (code, fleet.terminated) == (0, [])
    assert out.startswith("12 agents would be asked to stop: cam-0, cam-1, ")
    assert out.endswith("cam-9 and 2 more\n")
    code, out, _ = invoke("terminate", "cam-3", "other", "--dry-run", "--json")
    assert orjson.loads(out)["left"] == ["cam-3", "other"]


def test_terminate_of_a_filter_asks_on_a_terminal(
    invoke: Invoke, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = busan(2)
    serving(fleet)
    code, _, err = invoke("terminate", "-l", "site=busan")
    assert (code, "--yes" in err) == (2, True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("dscore.cli.bulk.typer.confirm", lambda *_, **__: _abort())
    assert invoke("terminate", "-l", "site=busan") == (1, "", "dscore: nothing was done\n")
    assert fleet.terminated == []


def test_terminate_of_a_filter_that_fits_none_is_a_failure(invoke: Invoke, serving: Serve) -> None:
    serving(busan(2))
    code, _, err = invoke("terminate", "--q", "nothing", "--yes")
    assert (code, err) == (1, "dscore: no agent that fits is connected\n")


LOST = {
    "code": 1006,
    "answer": 0,
    "reason": "",
    "initiator": "network",
    "cause": "",
    "ip": "10.0.3.4",
    "lasted_ms": 5000,
    "rtt_us": None,
    "stale": False,
}


@pytest.fixture
def lost() -> FakeFleet:
    fleet = FakeFleet("agent-17")
    agent = fleet.by_id["agent-17"]
    agent.status = agent.state = "offline"
    agent.reason_code, agent.connected = "reconnect_timeout", False
    story = [("disconnected", LOST), ("offline", {"reason_code": "reconnect_timeout"})]
    fleet.entries["agent-17"] = [
        Entry(number, "agent-17", 1_700_000_000_000 + 120_000 * number, kind, orjson.dumps(data))
        for number, (kind, data) in enumerate(story)
    ]
    return fleet


def test_why_is_one_sentence_and_the_timeline(
    invoke: Invoke, serving: Serve, lost: FakeFleet
) -> None:
    serving(lost)
    code, out, _ = invoke("why", "agent-17")
    first, empty, *timeline = out.splitlines()
    assert (code, empty) == (0, "")
    assert re.fullmatch(
        r"agent-17 is offline since [-\d]+ [:\d]+: its connection from 10\.0\.3\.4 was lost "
        r"without a close frame, it did not come back within 120 s; it never sent a heartbeat",
        first,
    )
    assert [line.split("  ")[2].split(",")[0] for line in timeline] == [
        "its connection was lost without a close frame",
        "offline: reconnect_timeout",
    ]


def test_why_as_json_is_the_page(invoke: Invoke, serving: Serve, lost: FakeFleet) -> None:
    serving(lost)
    document = orjson.loads(invoke("why", "agent-17", "--json", "--limit", "1")[1])
    assert document["sentence"].startswith("agent-17 is offline since 2023-11-14 22:15:20Z")
    assert [item["kind"] for item in document["items"]] == ["offline"]


def test_why_of_an_unknown_agent_is_exit_1(invoke: Invoke, serving: Serve) -> None:
    serving(FakeFleet())
    code, out, err = invoke("why", "unknown")
    assert (code, out) == (1, "")
    assert err == "dscore: no agent has the id 'unknown'\n"


def test_what_an_agent_says_cannot_write_to_the_terminal(
    invoke: Invoke, serving: Serve, lost: FakeFleet
) -> None:
    evil = {**LOST, "initiator": "peer", "code": 1000, "reason": "\x1b[2J"}
    lost.entries["agent-17"][0] = lost.entries["agent-17"][0]._replace(data=orjson.dumps(evil))
    serving(lost)
    out = invoke("why", "agent-17")[1]
    assert "\x1b" not in out
    assert r"1000 \x1b[2J" in out
