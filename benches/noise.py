"""The machine, and how much of it others used meanwhile."""

import os
import platform
import subprocess
import time
from pathlib import Path


def machine() -> dict[str, str]:
    """What a reader of the figures must know."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name"))
    commit = _git("rev-parse", "--short", "HEAD")
    # The tables that a run writes do not change what it measures.
    changed = _git("status", "--porcelain", "--", ".", ":!benches/results")
    return {
        "processor": f"{os.cpu_count()} x {next(models, platform.machine())}",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "commit": f"{commit or 'unknown'}{', with changes' if changed else ''}",
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def _git(*words: str) -> str:
    git = ["git", "-C", str(Path(__file__).parents[1]), *words]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def slab_bytes() -> int:
    """What the kernel's own objects take, sockets among them, on the whole machine."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Slab:"))


class Busy:
    """Processor time of the whole machine from here on."""

    def __init__(self) -> None:
        self._ticks = _busy_ticks()
        self._start = time.monotonic()

    def share_of_others(self, ours_seconds: float) -> float:
        """What others used, as a share of all processors; `ours_seconds` is what we did."""
        busy = (_busy_ticks() - self._ticks) / os.sysconf("SC_CLK_TCK")
        all_seconds = (time.monotonic() - self._start) * (os.cpu_count() or 1)
        return max(0.0, busy - ours_seconds) / all_seconds


def _busy_ticks() -> int:
    """user, nice, system, irq, softirq and steal of proc_stat(5): all but idle and iowait."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[:3]) + sum(fields[5:8])
