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


def test_every_command_that_takes_a_url_takes_an_authority_and_a_certificate() -> None:
    found = [
        one.callback
        for one in commands.app.registered_commands
        if one.callback is not None and "url" in inspect.signature(one.callback).parameters
    ]
    talking = [one for one in found if one.__module__ in (commands.__name__, power.__name__)]
    assert len(talking) > 8
    for one in talking:
        assert {"cacert", "cert", "key"} <= set(inspect.signature(one).parameters), one.__name__


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


@pytest.fixture
def mutual(serve: Serve, tls_files: Files, authority: Authority, tmp_path: Path) -> Serving:
    """A server that lets in nothing without a client certificate."""
    options = ["--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key)]
    config = tmp_path / "mutual.toml"
    config.write_text(
        f'[tls]\nclient_ca = "{authority.save(tmp_path)}"\nclient_auth = "required"\n'
    )
    return serve(*options, "--config", str(config))


@pytest.fixture
def own(authority: Authority, tmp_path: Path) -> Files:
    (tmp_path / "own").mkdir()
    return authority.issue("operator", client=True).save(tmp_path / "own")


def test_commands_show_the_certificate_that_is_given(
    mutual: Serving, own: Files, authority: Authority, tmp_path: Path
) -> None:
    ca, cert, key = str(authority.save(tmp_path)), str(own.certificate), str(own.key)
    given = ("--cacert", ca, "--cert", cert, "--key", key)
    status = dscore(mutual, "status", "--json", *given)
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["status"] == "ok"
    named = dscore(mutual, "agents", DSCORE_CACERT=ca, DSCORE_CERT=cert, DSCORE_KEY=key)
    assert named.returncode == 0, named.stderr
    # Both in one file, as curl takes it.
    both = tmp_path / "both.pem"
    both.write_bytes(own.certificate.read_bytes() + own.key.read_bytes())
    assert dscore(mutual, "agents", "--cacert", ca, "--cert", str(both)).returncode == 0


@pytest.mark.parametrize(
    "words",
    [("status",), ("drain", "--status"), ("events", "--follow")],
    ids=lambda words: words[0],
)
def test_a_certificate_that_is_wanted_is_said_with_the_remedy(
    mutual: Serving, authority: Authority, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = dscore(mutual, *words, "--cacert", str(authority.save(tmp_path)))
    assert done.returncode == 1
    assert "the server wants a client certificate" in done.stderr
    assert "with --cert and --key, or DSCORE_CERT and DSCORE_KEY" in done.stderr
    assert "cert_file" not in done.stderr


def test_a_certificate_of_another_authority_is_refused_in_words_of_the_command(
    mutual: Serving, authority: Authority, tmp_path: Path
) -> None:
    ca = str(authority.save(tmp_path))
    (tmp_path / "other").mkdir()
    other = Authority("other").issue("operator", client=True).save(tmp_path / "other")
    given = ("--cacert", ca, "--cert", str(other.certificate), "--key", str(other.key))
    done = dscore(mutual, "status", *given)
    assert done.returncode == 1
    assert "the certificate of --cert" in done.stderr


def test_events_are_followed_with_a_certificate(
    mutual: Serving, own: Files, authority: Authority, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "dscore", "events", "--follow", "--json"]
    command += ["--url", f"https://127.0.0.1:{mutual.port}"]
    command += ["--cacert", str(authority.save(tmp_path))]
    command += ["--cert", str(own.certificate), "--key", str(own.key)]
    with subprocess.Popen(command, env=clean_environment({}), stdout=subprocess.PIPE) as follower:
        try:
            wait_until(lambda: metric(mutual, "dscore_watchers") == 1, "the watcher")
            assert follower.poll() is None
        finally:
            follower.kill()


def test_a_certificate_or_key_that_is_none_is_wrong_usage(
    secure: Serving, own: Files, tmp_path: Path
) -> None:
    (tmp_path / "no.pem").write_text("no PEM")
    for words, expected in [
        (("--cert", str(tmp_path / "no.pem")), "--cert: cannot use"),
        (("--cert", str(tmp_path / "missing.pem")), "no such file"),
        (("--cert", str(own.certificate)), "its key"),
        (("--key", str(own.key)), "--key: a key needs its certificate"),
    ]:
        done = dscore(secure, "status", *words)
        assert done.returncode == 2, done.stderr
        assert expected in done.stderr.lower()
