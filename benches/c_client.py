"""What an agent costs on the edge, the C client beside the Python agent.

`python -m benches.c_client`: size of the library, memory while connected (plain and TLS), memory,
descriptors and threads after 200 reconnections, wake-ups a minute of an idle agent, how long the
answer to terminate_app takes. One server on loopback, one agent at a time; a table on standard
output.
"""

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from fake_server import FakeServer  # noqa: E402
from serving import Serving, clean_environment  # noqa: E402
from waiting import wait_until  # noqa: E402

BUILD = ROOT / "build" / "c-release"


def build() -> None:
    """As a distribution would: optimised, without GStreamer in the program."""
    options = ["--buildtype=release", "-Dgst=disabled", "-Dintrospection=disabled"]
    if not (BUILD / "build.ninja").exists():
        run("meson", "setup", str(BUILD), str(ROOT / "clients" / "c"), *options)
    run("ninja", "-C", str(BUILD))


def run(*command: str) -> None:
    """Runs it, quietly.

    Raises:
        CalledProcessError: It failed.
    """
    subprocess.run(command, check=True, capture_output=True)


def stripped_size(library: Path) -> int:
    """Bytes of a library as it is installed."""
    with tempfile.NamedTemporaryFile() as copy:
        run("strip", "--strip-unneeded", "-o", copy.name, str(library))
        return Path(copy.name).stat().st_size


def commands(url: str, name: str, *settings: str) -> dict[str, list[str]]:
    """How each agent is started."""
    words = ["--url", url, "--instance-id", name]
    words += [word for one in settings for word in ("--set", one)]
    return {
        "C": [str(BUILD / "programs" / "dscore-agent-c"), *words],
        "Python": [sys.executable, "-m", "dscore_agent", *words],
    }


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """An agent, ended afterwards."""
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=silent, stderr=silent, env=clean_environment({}))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def status_of(pid: int) -> dict[str, str]:
    """`/proc/PID/status`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def resident(pid: int) -> int:
    """Bytes of memory."""
    return int(status_of(pid)["VmRSS"].split()[0]) * 1024


def wakeups(pid: int) -> int:
    """How often its threads have gone to sleep by themselves."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        [line] = [one for one in text.splitlines() if one.startswith("voluntary_ctxt")]
        total += int(line.split()[1])
    return total


def online(serving: Serving, name: str) -> bool:
    """The server has taken that agent in."""
    return bool(json.loads(serving.get(f"/api/v1/agents/{name}")[1]).get("state") == "connected")


def measure_plain(serving: Serving, kind: str, seconds: float) -> dict[str, Any]:
    """Memory and wake-ups of one that is connected and has nothing to do."""
    name = f"idle-{kind}"
    with running(commands(serving.ws, name)[kind]) as process:
        wait_until(lambda: online(serving, name), "connection", 30)
        time.sleep(1)
        before, began = wakeups(process.pid), time.monotonic()
        time.sleep(seconds)
        minutes = (time.monotonic() - began) / 60
        woken = (wakeups(process.pid) - before) / minutes
        return {"rss_mb": resident(process.pid) / 1e6, "wakeups_a_minute": woken}


def measure_answers(serving: Serving, kind: str, times: int) -> dict[str, float]:
    """The server's own figure of how long an answer took, each time a new agent's."""
    found = []
    for n in range(times):
        name = f"end-{kind}-{n}"
        with running(commands(serving.ws, name)[kind]):
            wait_until(lambda name=name: online(serving, name), "connection", 30)
            time.sleep(0.3)  # its start is over: what is measured is an agent at rest
            body = serving.request("POST", f"/api/v1/agents/{name}/terminate", {})[1]
            found.append(json.loads(body)["latency_ms"])
    return {"p50_ms": statistics.median(found), "max_ms": max(found)}


def measure_reconnects(serving: Serving, kind: str, times: int) -> dict[str, int]:
    """What is left of so many connections that the server closed."""
    name = f"again-{kind}"
    quick = ("max_reconnect_delay_sec=0.001", "health_check_enabled=false")

    def cycle(count: int) -> None:
        for _ in range(count):
            wait_until(lambda: online(serving, name), "connection", 30)
            serving.request("DELETE", f"/api/v1/agents/{name}")

    def used(pid: int) -> tuple[int, int, int]:
        wait_until(lambda: online(serving, name), "connection", 30)
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return resident(pid) // 1024, descriptors, int(status_of(pid)["Threads"])

    with running(commands(serving.ws, name, *quick)[kind]) as process:
        cycle(50)
        before = used(process.pid)
        cycle(times)
        after = used(process.pid)
    names = ("rss_kb", "descriptors", "threads")
    return {name: later - former for name, later, former in zip(names, after, before, strict=True)}


async def measure_tls(kind: str, directory: Path) -> float:
    """Bytes of memory of one that is connected by TLS."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost "
        f"-keyout {directory}/key.pem -out {directory}/cert.pem"
    )
    await asyncio.to_thread(run, *command.split())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    async with FakeServer(context) as server:
        words = commands(server.url, "tls", f"ca_file={directory / 'cert.pem'}")[kind]
        with running(words) as process:
            await server.acquaint()
            await asyncio.sleep(1)
            return resident(process.pid) / 1e6


def table(rows: dict[str, dict[str, str]]) -> str:
    """Markdown."""
    lines = ["| | C | Python |", "|---|--:|--:|"]
    lines += [f"| {what} | {row['C']} | {row['Python']} |" for what, row in rows.items()]
    return "\n".join(lines)


def measure(seconds: float, times: int, reconnects: int) -> str:
    """All of it, as a table."""
    rows: dict[str, dict[str, str]] = {}

    def note(what: str, kind: str, value: str) -> None:
        rows.setdefault(what, {"C": "", "Python": ""})[kind] = value

    size = stripped_size(BUILD / "src" / "libdscore-1.0.so.0")
    note("library, stripped", "C", f"{size / 1024:.1f} KiB")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        # Where the server leaves its operator's token.
        os.environ["XDG_RUNTIME_DIR"] = name
        serving = Serving("--store", ":memory:", directory=directory).wait_until_ready()
        try:
            for kind in ("C", "Python"):
                idle = measure_plain(serving, kind, seconds)
                note("memory, connected", kind, f"{idle['rss_mb']:.1f} MB")
                note(
                    "memory, connected by TLS",
                    kind,
                    f"{asyncio.run(measure_tls(kind, directory)):.1f} MB",
                )
                note("wake-ups a minute, idle", kind, f"{idle['wakeups_a_minute']:.0f}")
                answers = measure_answers(serving, kind, times)
                words = f"{answers['p50_ms']:.2f} ms (at most {answers['max_ms']:.2f})"
                note(f"answer to terminate_app, median of {times}", kind, words)
                left = measure_reconnects(serving, kind, reconnects)
                words = f"{left['rss_kb']:+} KiB, {left['descriptors']:+}, {left['threads']:+}"
                note(f"memory, descriptors, threads after {reconnects} reconnections", kind, words)
        finally:
            serving.stop()
    return table(rows)


def main() -> None:
    """Builds, measures, prints."""
    options = argparse.ArgumentParser(prog="python -m benches.c_client", description=__doc__)
    options.add_argument("--seconds", type=float, default=120, help="of idleness")
    options.add_argument("--times", type=int, default=20, help="agents that are terminated")
    options.add_argument("--reconnects", type=int, default=200)
    chosen = options.parse_args()
    build()
    print(measure(chosen.seconds, chosen.times, chosen.reconnects))


if __name__ == "__main__":
    main()
