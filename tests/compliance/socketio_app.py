"""The servers that the public Engine.IO and Socket.IO protocol suites are run against.

Two bare pools of reactors, without any policy of ours: `engineio` sends every message back,
`socketio` does what the Socket.IO suite asks of its server. To look at one by hand:

    python tests/compliance/socketio_app.py engineio --port 3000

It prints its port on a line of its own and serves until SIGTERM. With `--suite DIR` a suite that
lies there is run against the server it is for, and its verdict is the exit code.
"""

import argparse
import json
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dscore import core

if TYPE_CHECKING:
    from dscore._core import Event

# What the suites expect: they are written for these times (milliseconds) and this size.
TIMES = {"ping_interval": 300, "ping_timeout": 200, "max_message_size": 1_000_000}
# Both suites look for their server here, and nowhere else.
SUITES_PORT = 3000


def echo(pool: core.ReactorPool, event: "Event") -> None:
    """Sends an Engine.IO message back as it came."""
    if isinstance(event, core.Message):
        if event.binary:
            pool.send_binary(event.conn, event.data)
        else:
            pool.send(event.conn, event.data)


def converse(pool: core.ReactorPool, event: "Event") -> None:
    """Tells a new connection its auth payload, sends `message` back, acks `message-with-ack`."""
    if isinstance(event, core.Connected):
        greeting = b'["auth",' + event.auth + b"]"
        pool.send_event(event.conn, greeting, namespace=event.namespace)
    elif isinstance(event, core.Message):
        _, *args = json.loads(event.data)
        there = {"namespace": event.namespace, "attachments": event.attachments}
        if event.kind == "message":
            pool.send_event(event.conn, as_json("message-back", *args), **there)
        elif event.ack is not None:
            pool.send_ack(event.conn, event.ack, as_json(*args), **there)


def as_json(*values: object) -> bytes:
    """A JSON array, as JavaScript would write it."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()


Behaviour = Callable[[core.ReactorPool, "Event"], None]
SERVERS: dict[str, tuple[Behaviour, dict[str, Any]]] = {
    "engineio": (echo, {"endpoints": {"/engine.io/": "plain-engineio"}, **TIMES}),
    "socketio": (
        converse,
        {
            "endpoints": {"/socket.io/": "plain-socketio"},
            "namespaces": ["/custom"],
            "connect_timeout": 1000,
            **TIMES,
        },
    ),
}


def serve(name: str, port: int) -> None:
    """Serves until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    behave, settings = SERVERS[name]
    pool = core.ReactorPool(core.CoreConfig(**settings, port=port))
    try:
        pool.start()
        print(pool.address()[1], flush=True)
        waiting = select.poll()
        waiting.register(pool.fileno(), select.POLLIN)
        while True:
            waiting.poll()
            while events := pool.take():
                for event in events:
                    behave(pool, event)
    finally:
        pool.close()


def run_suite(directory: Path) -> int:
    """Runs one suite, with what it needs from npm, and returns its exit code."""
    cases = (directory / "test-suite.js").read_text(encoding="utf-8")
    name = "socketio" if "/socket.io/" in cases else "engineio"
    if not (directory / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=directory, check=True)
    command = [sys.executable, __file__, name, "--port", str(SUITES_PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            if not server.stdout.readline():
                sys.exit(f"the server ended with {server.wait()} before it listened")
            # Some cases leave sockets open, and mocha would wait for them.
            mocha = ["npm", "test", "--", "--exit"]
            return subprocess.run(mocha, cwd=directory, check=False).returncode
        finally:
            server.terminate()


def main(words: Sequence[str] | None = None) -> int:
    """Serves, or runs a suite."""
    options = argparse.ArgumentParser(
        description="Servers for the public Engine.IO and Socket.IO protocol suites."
    )
    options.add_argument("server", nargs="?", choices=sorted(SERVERS), help="what to serve")
    options.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    options.add_argument("--suite", type=Path, metavar="DIR", help="run the suite in this folder")
    chosen = options.parse_args(words)
    if chosen.suite is not None:
        if not (chosen.suite / "test-suite.js").is_file():
            options.error(f"{chosen.suite} holds no test-suite.js")
        return run_suite(chosen.suite)
    if chosen.server is None:
        options.error("say which server, or give a suite with --suite")
    serve(chosen.server, chosen.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
