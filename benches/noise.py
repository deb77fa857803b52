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
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "processor": f"{os.cpu_count()} x {next(models, platform.machine())}",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "commit": commit or "unknown",
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


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
