"""Runs the Autobahn cases against the C client: `python -m tests.compliance.client BUILD`.

BUILD is where clients/c was built; its `tests/echo` says back what Autobahn's fuzzing server says.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kosoku import FailureError, run_fuzzingserver
from tests.compliance.__main__ import GROUPS, verdict

if TYPE_CHECKING:
    from kosoku._kosoku import CaseResult

DEADLINE_SECONDS = 500


async def run(build: Path, cases: Sequence[str]) -> "list[CaseResult]":
    """Runs the cases; a failed one is a result like any other."""
    try:
        async with run_fuzzingserver(cases, None, host="127.0.0.1", port=0) as server:
            url = f"ws://127.0.0.1:{server.port}"
            process = await asyncio.create_subprocess_exec(str(build / "tests" / "echo"), url)
            try:
                results = await asyncio.wait_for(server.get_result(), DEADLINE_SECONDS)
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()
    except FailureError as failure:
        results = failure.results
    return list(results)


def main() -> int:
    """Returns 0 when every case is as it should be."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("build", type=Path)
    options.add_argument("cases", nargs="*", help="such as 6.* (default: all of 1-7, 9 and 10)")
    chosen = options.parse_args()
    results = asyncio.run(run(chosen.build, chosen.cases or GROUPS))
    return verdict(results, is_whole=not chosen.cases)


if __name__ == "__main__":
    sys.exit(main())
