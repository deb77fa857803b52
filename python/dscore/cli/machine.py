"""What a machine says of itself: the readings that `dscore doctor` judges, and their judgement.

Reading touches the machine and judges nothing; judging is arithmetic, so that a test can have any
machine it wants.
"""

import ctypes
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from dscore.config import Config

Level: TypeAlias = Literal["ok", "warning", "failed"]

RELEASED = 1_764_547_200.0
"""2025-12-01: no clock of a machine that runs this can be before it."""
MAX_RESERVE = 128
"""Descriptors that the core keeps back of a limit, at most (PROTOCOL.md §10)."""
OWN_DESCRIPTORS = 64
"""The store's files, the reactors' own, the log, and room for operators."""
AGENT_BYTES = 6 * 1024
"""Of an idle agent, roughly: 1 KiB of the server, and what the kernel keeps for its socket."""
OWN_BYTES = 128 << 20
"""Of a server without agents, roughly."""
_TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that nothing keeps right."""
_PROC = Path("/proc/sys")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        level: whether it is well.
        text: how it is.
        remedy: what to do; "": nothing.
    """

    name: str
    level: Level
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Readings; None: this machine does not tell.

    Attributes:
        descriptors: the hard limit of this process; the server takes all of it.
        files: descriptors of all processes together.
        backlog: connections that the kernel lets wait to be accepted.
        half_open: handshakes of TCP that it lets be under way.
        tracked: connections that its firewall follows.
        memory: bytes that are free, for this process's group if that has less.
        now: the wall clock, in seconds.
        is_synchronized: whether something keeps that clock right.
    """

    descriptors: int | None
    files: int | None
    backlog: int | None
    half_open: int | None
    tracked: int | None
    memory: int | None
    now: float
    is_synchronized: bool | None


def read_machine() -> Machine:
    """This machine, now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        descriptors=None if hard == resource.RLIM_INFINITY else hard,
        files=_setting("fs/file-max"),
        backlog=_setting("net/core/somaxconn"),
        half_open=_setting("net/ipv4/tcp_max_syn_backlog"),
        tracked=_setting("net/netfilter/nf_conntrack_max"),
        memory=_free_memory(),
        now=time.time(),
        is_synchronized=_is_synchronized(),
    )


def judge(machine: Machine, config: Config, agents: int) -> Iterator[Finding]:
    """What a fleet of so many makes of it."""
    yield _of_descriptors(machine, agents)
    for finding in (
        _at_least("open files", machine.files, 2 * agents, "fs.file-max", "failed"),
        _at_least("backlog", machine.backlog, config.listen.backlog, "net.core.somaxconn"),
        _at_least(
            "handshakes", machine.half_open, min(agents, 4096), "net.ipv4.tcp_max_syn_backlog"
        ),
        _at_least("firewall", machine.tracked, 2 * agents, "net.netfilter.nf_conntrack_max"),
    ):
        if finding is not None:
            yield finding
    if machine.memory is not None:
        yield _of_memory(machine.memory, config, agents)
    yield _of_clock(machine)


def _of_descriptors(machine: Machine, agents: int) -> Finding:
    limit = machine.descriptors
    if limit is None:
        return Finding("descriptors", "ok", "no limit")
    # The core keeps back an eighth of a small limit, and of a large one MAX_RESERVE.
    needed = agents + OWN_DESCRIPTORS + MAX_RESERVE
    if limit >= needed:
        return Finding("descriptors", "ok", f"{limit:,} for {agents:,} agents")
    return Finding(
        "descriptors",
        "failed",
        f"{limit:,}, and {agents:,} agents take {needed:,}",
        f"LimitNOFILE={needed} in the unit of the service, or ulimit -Hn {needed} as root",
    )


def _at_least(
    name: str, value: int | None, needed: int, setting: str, level: Level = "warning"
) -> Finding | None:
    if value is None:
        return None
    if value >= needed:
        return Finding(name, "ok", f"{setting} = {value}")
    return Finding(
        name,
        level,
        f"{setting} = {value}, and this fleet asks for {needed}",
        f"sysctl -w {setting}={needed}, and the same line in /etc/sysctl.d/dscore.conf",
    )


def _of_memory(free: int, config: Config, agents: int) -> Finding:
    idle = OWN_BYTES + agents * AGENT_BYTES
    limits = config.limits
    # Of the bounds the core and its queues hold a quarter more for Python, each.
    most = idle + (limits.input_bytes + limits.output_bytes) * 5 // 4
    has = f"{_mib(free)} free"
    if free < idle:
        text = f"{has}, and {agents:,} idle agents take about {_mib(idle)}"
        return Finding("memory", "failed", text, "a larger machine, or a larger limit of its group")
    if free < most:
        text = f"{has}; peers at their worst may take {_mib(most)}"
        remedy = "lower limits.input_bytes and limits.output_bytes, or give it more"
        return Finding("memory", "warning", text, remedy)
    return Finding("memory", "ok", f"{has}, {_mib(idle)} for {agents:,} idle agents")


def _mib(count: int) -> str:
    return f"{count >> 20:,} MiB"


def _of_clock(machine: Machine) -> Finding:
    if machine.now < RELEASED:
        said = time.strftime("%Y-%m-%d", time.gmtime(machine.now))
        text = f"it is before this version: {said}"
        return Finding("clock", "failed", text, "set it: timedatectl set-ntp true")
    if machine.is_synchronized is False:
        text = "nothing keeps it right: timestamps, certificates and tokens depend on it"
        return Finding("clock", "warning", text, "run chrony or systemd-timesyncd")
    words = "" if machine.is_synchronized is None else "synchronized, "
    return Finding(
        "clock", "ok", f"{words}{time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(machine.now))}"
    )


def _setting(name: str) -> int | None:
    try:
        return int((_PROC / name).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _free_memory() -> int | None:
    """Of the machine, or of this process's group (version 2 or 1) where that has less."""
    groups = Path("/sys/fs/cgroup")
    found = (
        _available(),
        _left(groups / "memory.max", groups / "memory.current"),
        _left(groups / "memory/memory.limit_in_bytes", groups / "memory/memory.usage_in_bytes"),
    )
    return min((each for each in found if each is not None), default=None)


def _available() -> int | None:
    try:
        rows = Path("/proc/meminfo").read_text().splitlines()
        return next(int(row.split()[1]) << 10 for row in rows if row.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _left(most: Path, used: Path) -> int | None:
    try:
        return max(0, int(most.read_text()) - int(used.read_text()))
    except (OSError, ValueError):  # no group of that version, or "max"
        return None


def _is_synchronized() -> bool | None:
    """As the kernel knows it, which every program that keeps a clock right tells."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    # struct timex, all zero: it asks and sets nothing. 208 bytes on 64-bit Linux.
    state = adjtimex(ctypes.create_string_buffer(512))
    return None if state < 0 else state != _TIME_ERROR
