"""docs/tls.md's certificates and words, as they stand there."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving import Serving, clean_environment, dscore_command
from waiting import wait_until

PAGE = (Path(__file__).parent.parent / "docs" / "tls.md").read_text()
SECONDS = 60.0
FIRST_VERSION = "openssl x509 -req -in cam-17.csr -CA ca.pem -CAkey ca.key -days 9 -out old.pem"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def words(beginning: str) -> list[str]:
    """The words of the one command of the page that begins like this."""
    [command] = re.findall(rf"`({beginning}[^`]*)`", PAGE)
    return str(command).split()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder in which everything was typed that is to be typed."""
    script = "".join(block for block in blocks("sh") if block.startswith("openssl"))
    command = ["bash", "-ec", script + FIRST_VERSION]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=SECONDS)
    return tmp_path


@pytest.fixture
def server(serve: Callable[..., Serving], certificates: Path) -> Serving:
    [settings] = [block for block in blocks("toml") if "client_auth" in block]
    (certificates / "dscore.toml").write_text(settings)
    return serve("--config", "dscore.toml", directory=certificates)


@contextmanager
def agent(server: Serving, directory: Path, *settings: str) -> Iterator[Callable[[str], bool]]:
    """The page's agent with these words behind its own; whether its log has a text."""
    typed = [word.replace("8765", str(server.port)) for word in words("dscore agent")]
    log = directory / "agent.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *typed, *settings],
            cwd=directory,
            env=clean_environment({}),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield lambda text: text in log.read_text()
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def test_an_agent_with_the_certificate_that_was_made_is_let_in(
    server: Serving, certificates: Path
) -> None:
    with agent(server, certificates, *words("--set cert_file")) as has:
        wait_until(lambda: has('"connected"'), "the agent to be let in", SECONDS)
        url = f"https://localhost:{server.port}"
        trusting = ["status", "--url", url, "--cacert", str(certificates / "ca.pem")]
        said = dscore_command(*trusting)
        assert (said.returncode, "wants a client certificate" in said.stderr) == (1, True)
        own = [str(certificates / name) for name in ("cam-17.pem", "cam-17.key")]
        shown = dscore_command(*trusting, "--cert", own[0], "--key", own[1])
        assert "1 online" in shown.stdout
        plainly = dscore_command("status", "--url", server.url)
        assert "1 online" in plainly.stdout


def test_an_agent_of_another_name_is_told_that_its_certificate_may_be_the_cause(
    server: Serving, certificates: Path
) -> None:
    settings = [*words("--set cert_file"), "--instance-id", "cam-18"]
    with agent(server, certificates, *settings) as has:
        wait_until(lambda: has("cert_file a certificate that names this agent"), "the remedy")
    refused = server.wait_for_log("introduction_refused")
    assert refused["reason"] == "its certificate does not name this agent"


def test_a_certificate_of_version_1_is_refused_with_the_cause(
    server: Serving, certificates: Path
) -> None:
    text = subprocess.check_output(["openssl", "x509", "-text", "-in", certificates / "old.pem"])
    if b"Version: 1 " not in text:
        pytest.skip("this openssl makes none of version 1")
    settings = [word.replace("cam-17.pem", "old.pem") for word in words("--set cert_file")]
    with agent(server, certificates, *settings) as has:
        wait_until(lambda: has("is it one of X.509 version 3"), "the cause")
