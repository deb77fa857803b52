"""The package's own tests, run by node: one here for each file there."""

import subprocess

import pytest

from js_stage import JS, MISSING, NODE

FILES = sorted((JS / "test").glob("*.test.js"))


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_node_s_own_tests_pass(name: str) -> None:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--test", JS / "test" / name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout
    assert "\n# fail 0\n" in done.stdout
    assert "\n# pass 0\n" not in done.stdout


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_the_bench_of_the_readme_runs() -> None:
    assert NODE is not None
    assert "`node bench/changes.js`" in (JS / "README.md").read_text()
    done = subprocess.run(
        [NODE, "bench/changes.js"], cwd=JS, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert "10000 changes applied" in done.stdout
