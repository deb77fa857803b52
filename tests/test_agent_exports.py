"""The agent's public surface, and what importing it must not load."""

import subprocess
import sys

import dscore_agent


def test_every_public_name_is_there() -> None:
    for name in dscore_agent.__all__:
        assert getattr(dscore_agent, name) is not None


def test_importing_the_agent_loads_neither_the_core_nor_the_server_s_libraries() -> None:
    code = (
        "import sys, dscore_agent, dscore_agent.embed\n"
        "heavy = ('dscore._core', 'dscore.config', 'fastapi', 'gi', 'httpx', 'prometheus_client',\n"
        "         'pydantic', 'structlog', 'typer')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_embedding_needs_the_five_packages_of_the_page() -> None:
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
        "import importlib.metadata, sys, dscore_agent, dscore_agent.embed, uvloop\n"
        "known = importlib.metadata.packages_distributions()\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*sorted(loaded & set(known)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # A .pth file of setuptools loads its hack into every Python.
    assert set(out.stdout.split()) - {"dscore", "_distutils_hack"} - needed <= five


def test_the_program_does_not_load_the_core() -> None:
    code = "import sys, dscore.cli.agent, dscore.cli.commands\nprint('dscore._core' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
