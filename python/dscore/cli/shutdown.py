"""Commands that stop something and wait for it: drain, terminate."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from typing import Any

import typer

from dscore.cli import output, shapes
from dscore.cli.client import PATIENCE, Client, RefusedError, agent_path
from dscore.cli.drain_lines import acks_line, drain_lines, progress_of, segments
from dscore.cli.errors import FAILED, INTERRUPTED, OK, PARTIAL, USAGE, CliError
from dscore.cli.operate import list_agents

HOLD = 60
"""Seconds that one call waits for the end of a drain, before the next one does."""
REFRESH = 0.2
AT_ONCE = 32
"""Agents that are terminated side by side."""


MEANINGS = {
    "terminate": "stop the applications of its",
    "restart": "let go of its",
    None: "do with its",
}
"""What each intent does to a fleet, in a question."""


def drain(client: Client, wish: dict[str, Any], *, ask: bool, wait: bool, as_json: bool) -> int:
    """Starts a drain and follows it to its report."""
    if ask and sys.stdin.isatty():
        _confirm_drain(client, wish["intent"])
    if not wait:
        begun = client.call("POST", "/api/v1/drain", shapes.DRAIN, wish)
        if as_json:
            output.json(begun)
        else:
            output.line(f"{client.url} shuts down, {progress_of(begun)}")
        return OK
    with output.bar("draining", quiet=as_json) as bar, _threads(1) as threads:
        ended = threads.submit(_ended, client, wish)
        try:
            if bar:
                _follow(client, ended, bar)
            report = ended.result()
            # A small fleet is gone before the first look at it.
            bar.update(report["total"], report["total"])
        except KeyboardInterrupt:
            sentence = "stopped waiting; the drain goes on, dscore status tells how far it is"
            raise CliError(sentence, INTERRUPTED) from None
    if as_json:
        output.json(report)
    else:
        seconds = report["duration_ms"] / 1000
        output.line(f"drained in {seconds:.1f} s, {progress_of({'pending': 0, **report})}")
        if acks := acks_line(report):
            output.line(acks)
        if left := report["not_acked"]:
            output.complain(f"did not stop: {output.named(left, len(left))}")
    return PARTIAL if report["failed"] or report["timed_out"] or report["vanished"] else OK


def _confirm_drain(client: Client, intent: str | None) -> None:
    """Asks before a whole fleet is told to stop: a program that types, or pipes, is not asked."""
    online = client.get("/api/v1/status", shapes.STATUS)["agents"]["online"]
    agents = f"{online:,} agent{'' if online == 1 else 's'}"
    rest = " what its shutdown.intent says" if intent is None else ""
    question = f"Shut {client.url} down and {MEANINGS[intent]} {agents}{rest}?"
    typer.confirm(question, abort=True, err=True)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads whose results may be given up: the end waits for none."""
    threads = ThreadPoolExecutor(count)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _ended(client: Client, wish: dict[str, Any]) -> Any:
    """The drain's report.

    The call that starts the drain is held open by the server until the end, and a server waits for
    its open calls: a report fetched later might find the process gone.
    """
    method, body = "POST", wish
    while True:
        status = client.call(
            method,
            "/api/v1/drain",
            shapes.DRAIN,
            body,
            query={"wait": HOLD},
            patience=HOLD + PATIENCE,
        )
        if status["report"] is not None:
            return status["report"]
        method, body = "GET", None  # type: ignore[assignment]


def _follow(client: Client, ended: "Future[Any]", bar: output.Bar) -> None:
    while not wait_for([ended], timeout=REFRESH).done:
        try:
            status = client.get("/api/v1/drain", shapes.DRAIN)
        except CliError:
            continue  # the one that is waited for will say what is wrong
        bar.update(status["total"] - status["pending"], status["total"])
        bar.below([segments(status), *drain_lines(status)])


def everyone(client: Client, *, ask: bool) -> list[str]:
    """The ids of all agents that are connected, after the operator has agreed."""
    found = list_agents(client, {"status": "online"})
    ids = [item["id"] for item in found.items if item["connected"]]
    if not ids:
        raise CliError("no agent is connected")
    if ask:
        if not sys.stdin.isatty():
            raise CliError("--all needs --yes where no terminal can ask", USAGE)
        typer.confirm(f"Terminate {len(ids):,} agents?", abort=True, err=True)
    return ids


def terminate(client: Client, ids: Sequence[str], *, timeout: float | None, as_json: bool) -> int:
    """Terminates agents side by side, and tells how each one ended."""
    results: dict[str, dict[str, Any]] = {}
    unique = list(dict.fromkeys(ids))
    with output.bar("terminating", quiet=as_json) as bar, _threads(AT_ONCE) as threads:
        bar.update(0, len(unique))
        asked = {threads.submit(_terminate, client, each, timeout): each for each in unique}
        try:
            for done in as_completed(asked):
                results[asked[done]] = done.result()
                bar.update(len(results), len(unique))
        except KeyboardInterrupt:
            sentence = f"stopped waiting; {len(results):,} of {len(unique):,} agents have answered"
            raise CliError(sentence, INTERRUPTED) from None
    items = [{"id": each, **results[each]} for each in unique]
    acked = sum(item["outcome"] == "acked" for item in items)
    if as_json:
        output.json({"items": items})
    else:
        for item in items:
            output.line(_result_line(item))
        if len(items) > 1:
            output.complain(f"{acked:,} of {len(items):,} agents stopped")
    if acked == len(items):
        return OK
    return PARTIAL if acked else FAILED


def _terminate(client: Client, agent_id: str, timeout: float | None) -> dict[str, Any]:
    body = {} if timeout is None else {"timeout": timeout}
    try:
        # How long it takes is the server's to say: an agent may ask for more time.
        path = agent_path(agent_id, "/terminate")
        result = client.call("POST", path, shapes.TERMINATION, body, patience=None)
    except RefusedError as refusal:
        if refusal.status not in (404, 409):
            raise
        return {"outcome": None, "error": str(refusal)}
    return dict(result)


def _result_line(item: dict[str, Any]) -> str:
    agent_id = output.printable(item["id"])
    if item["outcome"] is None:
        return f"{agent_id}: {output.printable(item['error'])}"
    if item["outcome"] == "acked":
        # One of before says nothing of it.
        is_lost = item.get("complete") is False
        lost = "; a stream did not reach its end (dscore why tells more)" if is_lost else ""
        return f"{agent_id}: stopped in {item['latency_ms']:.0f} ms{lost}"
    line = f"{agent_id}: {item['outcome'].replace('_', ' ')}"
    if item.get("message"):
        return f"{line}: {output.printable(item['message'])}"
    return f"{line} (dscore why {agent_id} tells more)"
