"""Runs the Autobahn cases against a real server: `python -m tests.compliance`.

Says which of them are no strict pass.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kosoku import FailureError, run_fuzzingclient

if TYPE_CHECKING:
    from kosoku._kosoku import CaseResult

HERE = Path(__file__).parent
REPORT = HERE.parent.parent / "reports" / "compliance.json"
# 8 does not exist; 12 and 13 are permessage-deflate, which the core does not offer.
GROUPS = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
CASES_IN_GROUPS = 301
# The suite calls these informational whatever a server does; README.md has a sentence on each.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}
# A whole run takes a few seconds; the suite gives up a case that never ends after 100 s.
DEADLINE_SECONDS = 300


@contextmanager
def echo_server() -> Iterator[str]:
    """Starts `echo.py` as a program of its own; gives its address."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "echo.py")], stdout=subprocess.PIPE, text=True
    )
    with server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            if not port:
                sys.exit(f"the echo server ended with {server.wait()} before it listened")
            yield f"ws://127.0.0.1:{port}/"
        finally:
            server.terminate()


async def run(url: str, cases: Sequence[str]) -> "list[CaseResult]":
    """Runs the cases; a failed one is a result like any other."""
    try:
        results = await asyncio.wait_for(
            run_fuzzingclient(url, cases, concurrency=4), DEADLINE_SECONDS
        )
    except FailureError as failure:
        results = failure.results
    return list(results)


def is_as_it_should(result: "CaseResult") -> bool:
    """A strict pass, or one of the cases that have no right answer."""
    verdict = (result.behavior.value, result.behavior_close.value)
    if result.case_id in INFORMATIONAL:
        return verdict == ("INFORMATIONAL", "INFORMATIONAL")
    return verdict == ("OK", "OK")


def summarise(results: "Sequence[CaseResult]") -> str:
    """One line for each verdict, one for each case that is not as it should be.

    All of it is also written as JSON.
    """
    verdicts = Counter(result.behavior.value for result in results)
    REPORT.parent.mkdir(exist_ok=True)
    rows = [
        {
            "case": result.case_id,
            "behavior": result.behavior.value,
            "close": result.behavior_close.value,
            "close_code": result.remote_close_code,
            "duration_ms": result.duration,
            "result": result.result,
            "result_close": result.result_close,
        }
        for result in results
    ]
    REPORT.write_text(json.dumps({"verdicts": verdicts, "cases": rows}, indent=1))
    lines = [f"{count:4} {verdict}" for verdict, count in sorted(verdicts.items())]
    lines += [
        f"{result.case_id}: {result.behavior.value}, close {result.behavior_close.value} "
        f"({result.remote_close_code}): {result.result} {result.result_close}"
        for result in results
        if not is_as_it_should(result)
    ]
    return "\n".join(lines)


def verdict(results: "Sequence[CaseResult]", *, is_whole: bool) -> int:
    """Says what came of the cases; 0 when each is as it should be, and a whole run had all."""
    print(summarise(results))
    if is_whole and len(results) != CASES_IN_GROUPS:
        print(f"{len(results)} cases were run, not {CASES_IN_GROUPS}")
        return 1
    return 0 if all(map(is_as_it_should, results)) else 1


def main() -> int:
    """Returns 0 when every case is as it should be."""
    options = argparse.ArgumentParser(prog="python -m tests.compliance", description=__doc__)
    options.add_argument(
        "cases", nargs="*", help="such as 6.* or 9.1.1 (default: all of 1-7, 9 and 10)"
    )
    options.add_argument("--against", metavar="URL", help="an echo server that runs already")
    chosen = options.parse_args()
    cases = chosen.cases or GROUPS
    try:
        with nullcontext(chosen.against) if chosen.against else echo_server() as url:
            results = asyncio.run(run(url, cases))
    except ValueError as error:
        options.error(str(error))
    return verdict(results, is_whole=not chosen.cases)


if __name__ == "__main__":
    sys.exit(main())
