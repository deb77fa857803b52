"""How long before SIGKILL would come is a server done that has to end by a deadline?

The agents use all of the time up: most answer, some are mute, some ask for more than there is. The
report is written before the deadline, and the store has its last changes before the process ends.
"""

import time
from pathlib import Path

import pytest

from benches.contenders import start_dscore
from benches.fleet import Fleet
from benches.ledger import Ledger
from benches.noise import Busy
from benches.programs import Programs

AGENTS = 1_000
GRACES, QUICK_GRACES = (1, 2, 5, 10, 30), (2,)
ROUNDS, QUICK_ROUNDS = 5, 1
PARTIAL = 3
"""The exit code of a drain in which agents did not stop."""

SETTINGS = """
[shutdown]
deadline = {grace}
report = "report.json"
max_extension = 60
"""


@pytest.mark.timeout(900)
def test_deadline(ledger: Ledger, programs: Programs, quick: bool, tmp_path: Path) -> None:
    for number in range(QUICK_ROUNDS if quick else ROUNDS):
        for grace in QUICK_GRACES if quick else GRACES:
            directory = tmp_path / f"{grace}-{number}"
            directory.mkdir()
            figures = measure(programs, directory, grace)
            ledger.record(f"Deadlines, {AGENTS:,} agents", f"{grace} s", figures)


def measure(programs: Programs, directory: Path, grace: int) -> dict[str, float]:
    """One drain. How long before the deadline each thing was done, in milliseconds."""
    settings = directory / "dscore.toml"
    settings.write_text(SETTINGS.format(grace=grace))
    busy, cpu = Busy(), time.process_time()
    words = ("--config", str(settings))
    server = start_dscore(programs, directory, "dscore.db", words=words)
    roles = {"mute": "5%", "extend": "5%", "extension": "80s"}
    fleet = Fleet(programs.load, server.url, agents=AGENTS, **roles)
    try:
        assert fleet.wait_for("introduced")["count"] == AGENTS
        # A file's time is of the wall clock.
        deadline_ns, wall_ns = (now() + grace * 10**9 for now in (time.monotonic_ns, time.time_ns))
        server.terminate()
        ended = server.wait()
        assert ended.code == PARTIAL, server.log
        written_ns = (directory / "report.json").stat().st_mtime_ns
        ours = time.process_time() - cpu + ended.cpu_seconds
        fleet_seconds = fleet.wait_for("report")["cpu_seconds"]
    finally:
        fleet.close()
        server.close()
    return {
        "report_margin_ms": (wall_ns - written_ns) / 1e6,
        "exit_margin_ms": (deadline_ns - ended.at_ns) / 1e6,
        "others": busy.share_of_others(ours + fleet_seconds),
    }
