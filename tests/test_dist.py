"""What `make dist` has built: the files, and that they work where nothing of the clone is."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from dscore import __version__
from serving import clean_environment
from waiting import wait_until

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
AARCH64 = ROOT / "build" / "dist" / "aarch64"
SERVER, AGENT = f"dscore_server-{__version__}", f"dscore_agent-{__version__}"
LINUX = "{name}-cp310-abi3-manylinux_2_28_{machine}.whl"
MAX_SERVER_WHEEL = 3_000_000
MAX_AGENT_PACKAGES = 12
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not DIST.is_dir(), reason="no dist/ here: make dist"),
]


def wheel(machine: str) -> Path:
    return DIST / LINUX.format(name=SERVER, machine=machine)


AGENT_WHEEL = DIST / f"{AGENT}-py3-none-any.whl"


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """What it writes; it must end with 0. The clone is not where it looks."""
    kept = {k: v for k, v in clean_environment(environ).items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=kept, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def metadata(path: Path) -> Message:
    with zipfile.ZipFile(path) as archive:
        [name] = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_these_files_are_built() -> None:
    assert sorted(path.name for path in DIST.iterdir()) == sorted(
        [
            f"{SERVER}.tar.gz",
            wheel("x86_64").name,
            wheel("aarch64").name,
            f"{AGENT}.tar.gz",
            AGENT_WHEEL.name,
        ]
    )


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_wheel_of_the_server_is_stripped_and_for_its_machine(
    machine: str, tmp_path: Path
) -> None:
    path = wheel(machine)
    assert path.stat().st_size < MAX_SERVER_WHEEL
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        core = Path(archive.extract("dscore/_core.abi3.so", tmp_path))
        [licence] = [one for one in names if one.endswith("/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        for name in ("THIRD-PARTY.md", "clients/page/THIRD-PARTY.md"):
            [notice] = [one for one in names if one.endswith(f"/licenses/{name}")]
            assert archive.read(notice) == (ROOT / name).read_bytes()
    assert not [one for one in names if not one.startswith(("dscore/", f"{SERVER}.dist-info/"))]
    assert {"dscore/py.typed", "dscore/_core.pyi", "dscore/http/page/index.html"} <= set(names)
    head = run("readelf", "--wide", "--file-header", "--sections", core, cwd=tmp_path)
    assert {"x86_64": "X86-64", "aarch64": "AArch64"}[machine] in head
    assert ".debug_info" not in head
    assert ".symtab" not in head
    needed = run("readelf", "--wide", "--version-info", core, cwd=tmp_path)
    versions = {tuple(map(int, one.split("."))) for one in re.findall(r"GLIBC_([\d.]+)", needed)}
    assert max(versions) <= (2, 28)


@pytest.mark.parametrize("path", [AGENT_WHEEL, wheel("x86_64")], ids=["agent", "server"])
def test_metadata_tells_what_an_index_shows(path: Path) -> None:
    told = metadata(path)
    assert told["Version"] == __version__
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Requires-Python"] == ">=3.10"
    assert len(told.get_all("Classifier", [])) > 10
    assert "dscore" in str(told.get_payload())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the server's wheel and all it needs, outside of the clone."""
    home = tmp_path_factory.mktemp("served")
    return environment(home, sys.executable, AGENT_WHEEL, wheel("x86_64"))


def environment(home: Path, python: str, *packages: Path) -> Path:
    run(python, "-m", "venv", home / "venv", cwd=home)
    run(home / "venv/bin/pip", "install", "--quiet", *packages, cwd=home)
    run(home / "venv/bin/pip", "check", cwd=home)
    return home


def test_it_serves_and_drains_outside_of_the_clone(served: Path) -> None:
    serves_and_drains(served)


@contextmanager
def started(*command: str | Path, cwd: Path, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    environ = clean_environment({"XDG_RUNTIME_DIR": str(cwd)})
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, command)], cwd=cwd, env=environ, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def serves_and_drains(home: Path) -> None:
    """A server and an agent of this environment: introduced, listed, stopped, both with 0."""
    log, told = home / "serve.log", home / "agent.log"
    program = home / "venv/bin/dscore"
    with started(program, "serve", "--port", "0", cwd=home, log=log) as server:
        wait_until(lambda: '"serving"' in log.read_text(), "a server that serves", 60)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        [url] = [line["url"] for line in lines if line["event"] == "serving"]
        words = ("--url", url.replace("http", "ws"), "--instance-id", "cam-1")
        with started(home / "venv/bin/dscore-agent", *words, cwd=home, log=told) as agent:

            def is_in() -> bool:
                listed = run(program, "agents", "--json", "--url", url, cwd=home)
                return "cam-1" in listed

            wait_until(is_in, "an agent in the list", 60)
            drained = run(
                *(program, "drain", "--yes", "--json", "--url", url),
                cwd=home,
                XDG_RUNTIME_DIR=str(home),
            )
            report = json.loads(drained)
            assert (report["total"], report["acked"], report["not_acked"]) == (1, 1, [])
            assert agent.wait(60) == 0, told.read_text()
        assert server.wait(60) == 0, log.read_text()


def installed(version: str) -> str | None:
    """A CPython of this version: pyenv's, uv's, or one of the PATH."""
    places = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    places += sorted(Path.home().glob(f".local/share/uv/python/cpython-{version}*/bin/python3"))
    found = shutil.which(f"python{version}")
    for one in [*map(str, places), *([found] if found else [])]:
        said = subprocess.run(
            [one, "-c", "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if said.stdout.strip() == version:
            return one
    return None


@pytest.mark.parametrize("version", PYTHONS)
def test_one_wheel_serves_every_python(version: str, tmp_path: Path) -> None:
    python = installed(version)
    if python is None:
        pytest.skip(f"no CPython {version} here")
    serves_and_drains(environment(tmp_path, python, AGENT_WHEEL, wheel("x86_64")))


def test_an_agent_alone_is_twelve_packages_at_most(tmp_path: Path) -> None:
    environment(tmp_path, sys.executable, AGENT_WHEEL)
    listed = json.loads(run(tmp_path / "venv/bin/pip", "list", "--format=json", cwd=tmp_path))
    names = {one["name"] for one in listed} - {"pip", "setuptools"}
    assert len(names) <= MAX_AGENT_PACKAGES, names
    said = run(tmp_path / "venv/bin/dscore-agent", "--help", cwd=tmp_path)
    assert said.startswith("usage: dscore-agent")


@pytest.mark.parametrize("version", PYTHONS)
def test_every_package_of_an_agent_has_a_wheel_for_aarch64(version: str, tmp_path: Path) -> None:
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(17, 36)]
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"),
        *(word for one in ["manylinux2014_aarch64", *platforms] for word in ("--platform", one)),
        *("--python-version", version, "--dest", tmp_path, AGENT_WHEEL),
        cwd=tmp_path,
    )
    files = [path.name for path in tmp_path.iterdir()]
    assert len(files) <= MAX_AGENT_PACKAGES
    assert all(name.endswith(("aarch64.whl", "none-any.whl")) for name in files), files


def test_a_source_distribution_of_the_agent_builds_its_wheel(tmp_path: Path) -> None:
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", tmp_path, DIST / f"{AGENT}.tar.gz"),
        cwd=tmp_path,
    )
    with zipfile.ZipFile(AGENT_WHEEL) as ours, zipfile.ZipFile(tmp_path / AGENT_WHEEL.name) as its:
        assert {one.filename: one.CRC for one in ours.infolist()} == {
            one.filename: one.CRC for one in its.infolist()
        }


@pytest.mark.skipif(
    not (AARCH64 / "usr/bin/python3").exists(), reason="no Python for aarch64: make setup-dist"
)
def test_the_wheel_for_aarch64_serves_and_drains_under_qemu(tmp_path: Path) -> None:
    [python] = (AARCH64 / "usr/bin").glob("python3.*[0-9]")
    version = python.name.removeprefix("python")
    home = tmp_path / "home"
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(17, 36)]
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"),
        *(word for one in ["manylinux2014_aarch64", *platforms] for word in ("--platform", one)),
        *("--python-version", version, "--target", home / "site", AGENT_WHEEL, wheel("aarch64")),
        cwd=tmp_path,
    )
    (home / "venv/bin").mkdir(parents=True)
    for name, module in (("dscore", "dscore"), ("dscore-agent", "dscore_agent")):
        script = home / "venv/bin" / name
        script.write_text(
            f"#!/bin/sh\nPYTHONHOME={AARCH64}/usr PYTHONPATH={home}/site exec {AARCH64}/usr/bin/"
            f'qemu-aarch64-static -L {AARCH64} {python} -m {module} "$@"\n'
        )
        script.chmod(0o755)
    said = run(home / "venv/bin/dscore", "--version", cwd=home)
    assert said == f"dscore {__version__}\n"
    serves_and_drains(home)
