"""The commands over https: whom they trust, and what they say where they do not."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from certificates import Authority, Files
from dscore.cli import commands, power
from serving import Serving, clean_environment, dscore_command
from tls_clients import metric
from waiting import wait_until

Serve = Callable[..., Serving]

REMEDY = "with --cacert or DSCORE_CACERT"


@pytest.fixture
def secure(serve: Serve, tls_files: Files) -> Serving:
    return serve("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))


def dscore(
    serving: Serving, *words: str, host: str = "127.0.0.1", **env: str
) -> subprocess.CompletedProcess[str]:
    """One command of the server's user against its https."""
    return dscore_command(*words, "--url", f"https://{host}:{serving.port}", **env)


def test_every_command_that_takes_a_url_takes_an_authority() -> None:
    found = [
        one.callback
        for one in commands.app.registered_commands
        if one.callback is not None and "url" in inspect.signature(one.callback).parameters
    ]
    talking = [one for one in found if one.__module__ in (commands.__name__, power.__name__)]
    assert len(talking) > 8
    for one in talking:
        assert "cacert" in inspect.signature(one).parameters, one.__name__


def test_commands_trust_the_authority_that_is_given(
    secure: Serving, authority: Authority, tmp_path: Path
) -> None:
    ca = str(authority.save(tmp_path))
    status = dscore(secure, "status", "--json", "--cacert", ca)
    assert (status.returncode, json.loads(status.stdout)["status"]) == (0, "ok"), status.stderr
    # By the variable too, and by name.
    assert dscore(secure, "agents", host="localhost", DSCORE_CACERT=ca).returncode == 0
    nowhere = dscore(secure, "terminate", "none", "--yes", "--cacert", ca)
    assert (nowhere.returncode, nowhere.stderr) == (1, "")
    assert "no agent has the id 'none'" in nowhere.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("agents",),
        ("why", "cam-1"),
        ("terminate", "cam-1", "--yes"),
        ("drain", "--status"),
        ("events", "--follow"),
    ],
    ids=lambda words: words[0],
)
def test_an_authority_that_is_not_trusted_is_said_with_the_remedy(
    secure: Serving, words: tuple[str, ...]
) -> None:
    done = dscore(secure, *words)
    assert done.returncode == 1
    assert "the authority of its certificate is not trusted here" in done.stderr
    assert REMEDY in done.stderr
    assert "is the server running" not in done.stderr


def test_events_are_followed_over_tls(
    secure: Serving, authority: Authority, tmp_path: Path
) -> None:
    ca = str(authority.save(tmp_path))
    command = [sys.executable, "-m", "dscore", "events", "--follow", "--json"]
    command += ["--url", f"https://127.0.0.1:{secure.port}", "--cacert", ca]
    with subprocess.Popen(command, env=clean_environment({}), stdout=subprocess.PIPE) as follower:
        try:
            wait_until(lambda: metric(secure, "dscore_watchers") == 1, "the watcher")
            assert follower.poll() is None
        finally:
            follower.kill()


def test_a_certificate_for_another_name_is_said_so(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    ca = str(authority.save(tmp_path))
    other = authority.issue("elsewhere.example").save(tmp_path)
    serving = serve("--tls-cert", str(other.certificate), "--tls-key", str(other.key))
    done = dscore(serving, "status", "--cacert", ca)
    assert done.returncode == 1
    assert "for other names than 127.0.0.1" in done.stderr


def test_a_file_that_is_no_authority_is_wrong_usage(secure: Serving, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no PEM")
    for name, expected in [("no.pem", "holds no certificate"), ("missing.pem", "No such file")]:
        done = dscore(secure, "status", "--cacert", str(tmp_path / name))
        assert done.returncode == 2
        assert f"--cacert: cannot use {tmp_path / name}: " in done.stderr
        assert expected.lower() in done.stderr.lower()
