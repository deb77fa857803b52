"""Has a part become slower? Told by its instructions, where wall time is too noisy to tell.

    python -m benches.instructions            # against instructions.json; exits 1 above 3 %
    python -m benches.instructions --record   # writes instructions.json: the change was wanted

Needs valgrind. Counts depend on the compiler, the C library and what the processor can: they are
judged only beside those of the same ones.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BENCHES = Path(__file__).parent
BASELINE = BENCHES / "instructions.json"
COUNT = 20_000
TOLERANCE = 0.03


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="make these counts the baseline")
    record = parser.parse_args().record
    if shutil.which("valgrind") is None:
        print("instructions: left out, valgrind is not on this machine")
        return 0
    program, counted_with = _build(), _counted_with()
    names = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    counts = {name: _count(program, name) for name in names}
    if record:
        content = {"counted_with": counted_with, "instructions": counts}
        BASELINE.write_text(json.dumps(content, indent=2) + "\n")
        return 0
    baseline = json.loads(BASELINE.read_text())
    grown = _compare(baseline["instructions"], counts)
    if baseline["counted_with"] != counted_with:
        print(f"counted with {counted_with}, the baseline with {baseline['counted_with']}")
        print("not judged: these are not the same")
        return 0
    if grown:
        print(f"more than {TOLERANCE:.0%} above the baseline: {', '.join(grown)}")
    return 1 if grown else 0


def _compare(baseline: dict[str, float], counts: dict[str, float]) -> list[str]:
    """Prints all, and returns the names of those that have grown; new ones have not."""
    grown = []
    for name, count in counts.items():
        before = baseline.get(name)
        change = "new" if before is None else f"{count / before - 1:+.1%}"
        print(f"  {name:<28} {count:9.1f} instructions  {change}")
        if before is not None and count > before * (1 + TOLERANCE):
            grown.append(name)
    return grown


def _build() -> Path:
    command = ["cargo", "bench", "--locked", "--quiet", "--no-run", "-p", "dscore-benches"]
    built = subprocess.run(
        [*command, "--bench", "instructions", "--message-format", "json"],
        cwd=BENCHES,
        stdout=subprocess.PIPE,
        check=True,
    )
    artifacts = map(json.loads, built.stdout.splitlines())
    return next(Path(one["executable"]) for one in artifacts if one.get("executable"))


def _counted_with() -> str:
    told = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    avx2 = "avx2" in Path("/proc/cpuinfo").read_text().split()
    libc = " ".join(platform.libc_ver())
    return f"{told.stdout.strip()}, {libc}, {platform.machine()}{', avx2' if avx2 else ''}"


def _count(program: Path, name: str) -> float:
    """Instructions of one time: what COUNT more times cost, so that the start does not count."""
    return (_run(program, name, 2 * COUNT) - _run(program, name, COUNT)) / COUNT


def _run(program: Path, name: str, count: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "callgrind.out"
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        subprocess.run(
            [*callgrind, program, name, str(count)], check=True, stderr=subprocess.DEVNULL
        )
        lines = out.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("summary:"))


if __name__ == "__main__":
    sys.exit(main())
