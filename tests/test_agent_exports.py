"""The agent's public surface, its other name, and what importing it must not load."""

import subprocess
import sys

import pytest

import dscore_agent


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_public_name_is_there() -> None:
    for name in dscore_agent.__all__:
        assert getattr(dscore_agent, name) is not None
    assert dir(dscore_agent) == sorted(dscore_agent.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dscore_agent.nonsense


def test_the_other_name_has_the_same_things() -> None:
    import dscore.agent.embed
    import dscore_agent.embed

    assert set(dscore.agent.__all__) == set(dscore_agent.__all__)
    for name in dscore_agent.__all__:
        assert getattr(dscore.agent, name) is getattr(dscore_agent, name)
    assert dscore.agent.embed.start is dscore_agent.embed.start
    assert dscore.agent.embed.AgentThread is dscore_agent.embed.AgentThread


def test_the_other_name_of_the_pipelines_has_the_same_things() -> None:
    pytest.importorskip("gi", reason="GStreamer for Python is not installed: make setup-gst")
    import dscore.agent.pipeline
    import dscore_agent.pipeline

    assert dscore.agent.pipeline.__all__ == dscore_agent.pipeline.__all__
    for name in dscore_agent.pipeline.__all__:
        assert getattr(dscore.agent.pipeline, name) is getattr(dscore_agent.pipeline, name)


@pytest.mark.parametrize("package", ["dscore.agent", "dscore_agent"])
def test_importing_the_agent_loads_neither_the_core_nor_the_server_s_libraries(
    package: str,
) -> None:
    heavy = "'fastapi', 'gi', 'httpx', 'prometheus_client', 'pydantic', 'structlog', 'typer'"
    code = (
        f"import sys, {package}, {package}.embed\n"
        f"heavy = ('dscore._core', 'dscore.config', {heavy})\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert printed(code) == "[]"


def test_the_agent_needs_the_five_packages_of_the_page() -> None:
    five = {"aiohappyeyeballs", "h11", "orjson", "picows", "uvloop"}
    needed = {
        "aiofastnet",
        "async_timeout",
        "exceptiongroup",
        "multidict",
        "python_socks",
        "typing_extensions",
    }
    code = (
        "import importlib.metadata, sys, dscore_agent.embed, dscore_agent.cli.program\n"
        "known = importlib.metadata.packages_distributions()\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*sorted(loaded & set(known)))"
    )
    # A .pth file of setuptools loads its hack into every Python.
    loaded = set(printed(code).split()) - {"_distutils_hack"} - needed
    assert loaded <= {"dscore_agent", *five}


def test_handlers_come_before_the_large_imports() -> None:
    code = (
        "import sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from dscore_agent.cli import main, startup\n"
        "startup.begin()\n"
        "print(*sorted({'typing', 'asyncio', 'orjson', 'uvloop', 'argparse'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_the_command_under_dscore_does_not_load_the_core() -> None:
    code = (
        "import sys, dscore_agent.cli.program, dscore.cli.commands\n"
        "print('dscore._core' in sys.modules)"
    )
    assert printed(code) == "False"
