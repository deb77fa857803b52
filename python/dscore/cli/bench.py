"""`bench`: the figures of this machine, in about a minute."""

import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from statistics import median

from dscore.bench.rounds import BenchError, Figures, Progress, measure
from dscore.cli import output
from dscore.cli.errors import INTERRUPTED, OK, CliError

RESERVE = 1_000
"""Descriptors that a server wants for other things than agents."""
MOST = 10_000
"""Agents, unless told otherwise; each round of so many takes some seconds."""

ROWS = {
    "introduced_per_second": ("agents introduced per second", 0),
    "memory_bytes_per_agent": ("memory per idle agent, bytes", 0),
    "told_p50_ms": ("SIGTERM to terminate_app received, p50, ms", 1),
    "told_p99_ms": ("SIGTERM to terminate_app received, p99, ms", 1),
    "told_last_ms": ("SIGTERM to terminate_app received, last, ms", 1),
    "closed_last_ms": ("SIGTERM to all answered and closed, ms", 1),
    "exit_ms": ("SIGTERM to the exit of the server, ms", 1),
    "cpu_us_per_agent": ("server's processor time per agent stopped, µs", 1),
}
assert list(ROWS) == [field.name for field in fields(Figures)]


def bench(agents: int | None, rounds: int, processes: int | None, *, as_json: bool) -> int:
    """Measures some rounds and shows their medians.

    Raises:
        CliError: A round failed, or the machine does not allow so many agents.
    """
    agents = _affordable(agents)
    processes = min(processes or _processes(), agents)
    measured: list[Figures] = []
    with output.bar(f"stopping {agents:,} agents", quiet=as_json) as bar:
        for number in range(rounds):
            progress = _progress(bar, number, rounds, agents)
            try:
                measured.append(measure(agents, processes, progress))
            except BenchError as error:
                raise CliError(f"round {number + 1} of {rounds}: {error}") from None
            except KeyboardInterrupt:
                raise CliError("stopped; nothing was measured to the end", INTERRUPTED) from None
    if as_json:
        output.json({"agents": agents, "processes": processes, "rounds": [*map(asdict, measured)]})
    else:
        output.table(("", "MEDIAN", "LEAST", "GREATEST"), _table(measured))
        output.line(
            f"\n{rounds} rounds of {agents:,} agents on loopback. Server and fleet (in Python, "
            f"processes: {processes}) share this machine."
        )
    return OK


def _affordable(agents: int | None) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard - RESERVE if hard != resource.RLIM_INFINITY else MOST
    if agents is None:
        return max(1, min(MOST, most))
    if hard != resource.RLIM_INFINITY and agents > most:
        raise CliError(f"{agents:,} agents need more descriptors than {hard:,} (ulimit -Hn)")
    return agents


def _processes() -> int:
    """Half of the processors, for the other half is the server's; more than four are never busy."""
    from os import sched_getaffinity

    return max(1, min(4, len(sched_getaffinity(0)) // 2))


def _progress(bar: output.Bar, number: int, rounds: int, agents: int) -> Progress:
    """Every agent counts twice, for its introduction and for its end."""

    def update(introduced: int, ended: int) -> None:
        bar.update(2 * agents * number + introduced + ended, 2 * agents * rounds)

    return update


def _table(measured: Sequence[Figures]) -> list[list[str]]:
    return [
        [label, *(f"{pick(_all(measured, name)):,.{digits}f}" for pick in PICKS)]
        for name, (label, digits) in ROWS.items()
    ]


PICKS: Sequence[Callable[[Sequence[float]], float]] = (median, min, max)


def _all(measured: Sequence[Figures], name: str) -> list[float]:
    return [getattr(figures, name) for figures in measured]
