"""wss:// and its certificates: what the agent says of each usual failure, over real TLS."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from threading import Thread

import pytest

from certificates import Authority, Issued
from dscore_agent import clock_check, tls
from dscore_agent.clock_check import Look, sentence, validity
from dscore_agent.config import AgentConfig
from dscore_agent.credentials import read_credentials, tls_context
from dscore_agent.dial import Dialer
from dscore_agent.errors import ConfigError
from dscore_agent.health import Health, check
from dscore_agent.wire import ConnectError, open_connection
from stream_server import stream_server

DAY = timedelta(days=1)
SECONDS = 30.0


@asynccontextmanager
async def serving(
    directory: Path,
    issued: Issued,
    *,
    date: datetime | None = None,
    clients_of: Authority | None = None,
) -> AsyncIterator[int]:
    """A TLS server that answers each request with 404, and the time.

    Args:
        date: what it says of the time; None: nothing.
        clients_of: whose clients alone are let in.
    """
    context = issued.server_context(directory, clients=clients_of)
    told = "" if date is None else f"date: {format_datetime(date, usegmt=True)}\r\n"
    answer = f"HTTP/1.1 404 Not Found\r\n{told}content-length: 0\r\nconnection: close\r\n\r\n"

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        await writer.drain()

    async with stream_server(respond, context) as port:
        yield port


@contextmanager
def strict_server(directory: Path, issued: Issued, clients: Authority) -> Iterator[int]:
    """A server that lets clients of an authority in alone, and answers 404. asyncio's would keep
    the alert to itself that others get."""
    context = issued.server_context(directory, clients=clients)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            one = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            with suppress(OSError), one:
                try:
                    one.do_handshake()
                    one.recv(4096)
                    one.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                except ssl.SSLError:
                    socket.socket.shutdown(one, socket.SHUT_WR)
                    while os.read(one.fileno(), 4096):  # or a reset would overtake the alert
                        pass

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(SECONDS)


async def both(config: AgentConfig) -> list[str]:
    """What is said of the health page, and of the attempt."""
    context = tls_context(config)
    look = await check(config.health_url, SECONDS, context, Dialer())
    assert look.health is Health.UNREACHABLE
    with pytest.raises(ConnectError) as failed:
        await open_connection(
            config, context, Dialer(), on_message=lambda _: None, on_writable=lambda: None
        )
    return [look.reason, str(failed.value)]


def now() -> datetime:
    return datetime.now(timezone.utc)


async def test_an_authority_that_is_not_known(tmp_path: Path) -> None:
    authority = Authority()
    async with serving(tmp_path, authority.issue("localhost"), date=now()) as port:
        other = Authority("another").save(tmp_path, "other")
        for settings in ({}, {"ca_file": other}):
            for said in await both(AgentConfig(url=f"wss://localhost:{port}", **settings)):
                assert said.startswith(
                    "the authority of the server's certificate is not trusted here ("
                )
                assert said.endswith("): set ca_file to its certificate")


async def test_a_certificate_for_other_names(tmp_path: Path) -> None:
    authority = Authority()
    ca_file = authority.save(tmp_path)
    async with serving(tmp_path, authority.issue("fleet.example"), date=now()) as port:
        for host in ("localhost", "127.0.0.1"):
            for said in await both(AgentConfig(url=f"wss://{host}:{port}", ca_file=ca_file)):
                assert said.startswith(f"the server's certificate is for other names than {host} (")
                assert said.endswith("): is the url right?")


async def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    authority = Authority()
    ca_file = authority.save(tmp_path)
    issued = authority.issue("localhost", begins=-30 * DAY, ends=-5 * DAY)
    for date in (now(), None):
        async with serving(tmp_path, issued, date=date) as port:
            for said in await both(AgentConfig(url=f"wss://localhost:{port}", ca_file=ca_file)):
                assert said.startswith("the server's certificate expired 5 days ago (it is valid ")
                assert said.endswith("): renew it there")


async def test_a_clock_that_is_behind_is_told_by_the_server_s(tmp_path: Path) -> None:
    authority = Authority()
    ca_file = authority.save(tmp_path)
    # To a clock of years ago every certificate begins in the future.
    issued = authority.issue("localhost", begins=700 * DAY, ends=800 * DAY)
    async with serving(tmp_path, issued, date=now() + 731 * DAY) as port:
        for said in await both(AgentConfig(url=f"wss://localhost:{port}", ca_file=ca_file)):
            assert said.startswith("this machine's clock is wrong: it says ")
            assert " 2 years behind the server's " in said
            assert "set it, the server's certificate is fine" in said


@pytest.mark.parametrize("wrong", ["ab", "g" * 64, "a" * 63, "a" * 65, "sha1:" + "a" * 40])
def test_what_is_no_fingerprint_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"server_fingerprints: .*is no SHA-256 of a certificate"):
        AgentConfig(server_fingerprints=("a" * 64, wrong))


async def test_a_clock_that_is_ahead_is_told_too(tmp_path: Path) -> None:
    authority = Authority()
    ca_file = authority.save(tmp_path)
    issued = authority.issue("localhost", begins=-20 * DAY, ends=-5 * DAY)
    async with serving(tmp_path, issued, date=now() - 10 * DAY) as port:
        for said in await both(AgentConfig(url=f"wss://localhost:{port}", ca_file=ca_file)):
            assert " 10 days ahead of the server's " in said


async def test_a_clock_is_told_by_the_certificate_alone_where_nothing_else_says(
    tmp_path: Path,
) -> None:
    authority = Authority()
    ca_file = authority.save(tmp_path)
    issued = authority.issue("localhost", begins=700 * DAY, ends=800 * DAY)
    async with serving(tmp_path, issued, clients_of=Authority()) as port:
        for said in await both(AgentConfig(url=f"wss://localhost:{port}", ca_file=ca_file)):
            assert said.startswith("the server's certificate is not valid yet (it is valid from ")
            assert "or this machine's clock is at least 700 days behind: it says " in said


async def test_a_server_that_wants_a_client_certificate(tmp_path: Path) -> None:
    authority, clients = Authority(), Authority("clients")
    ca_file = authority.save(tmp_path)
    with strict_server(tmp_path, authority.issue("localhost"), clients) as port:
        config = AgentConfig(url=f"wss://localhost:{port}", ca_file=ca_file)
        look = await check(config.health_url, SECONDS, tls_context(config), Dialer())
        assert look.reason == "the server wants a client certificate: set cert_file and key_file"
        files = Authority("strange").issue("a-1", client=True).save(tmp_path, "client")
        config = AgentConfig(
            url=f"wss://localhost:{port}",
            ca_file=ca_file,
            cert_file=files.certificate,
            key_file=files.key,
        )
        look = await check(config.health_url, SECONDS, tls_context(config), Dialer())
        assert look.reason == "the server does not know the authority of this agent's cert_file"
        # Renewed in its place, it is read anew before the next attempt.
        before = read_credentials(config)
        clients.issue("a-1", client=True).save(tmp_path, "client")
        after = read_credentials(config)
        assert after.digest != before.digest
        look = await check(config.health_url, SECONDS, after.tls, Dialer())
        assert "HTTP 404" in look.reason, look.reason


@pytest.mark.parametrize("reason", sorted(tls._ALERTS))
def test_each_alert_has_a_sentence_whatever_it_begins_with(reason: str) -> None:
    for prefix in ("TLSV1_ALERT_", "TLSV13_ALERT_", "SSLV3_ALERT_", ""):
        error = ssl.SSLError(1, "handshake failed")
        error.reason = prefix + reason  # type: ignore[assignment]
        words = tls._ALERTS[reason].format(
            own="this agent's cert_file", give="set cert_file and key_file"
        )
        assert tls.sentence(error, "a") == words
        of_a_command = tls.sentence(error, "a", own="the file", give="give one")
        assert of_a_command == tls._ALERTS[reason].format(own="the file", give="give one")


def test_other_errors_have_none() -> None:
    error = ssl.SSLError(1, "handshake failed")
    error.reason = "INTERNAL_ERROR"  # type: ignore[assignment]
    assert tls.sentence(error, "a") is None
    assert tls.sentence(OSError("refused"), "a") is None


def test_the_dates_of_a_certificate_are_read_from_its_bytes() -> None:
    for begins, ends in [(-DAY, DAY), (-DAY, 40 * 365 * DAY), (30 * 365 * DAY, 31 * 365 * DAY)]:
        issued = Authority().issue("localhost", begins=begins, ends=ends)
        from cryptography.hazmat.primitives.serialization import Encoding

        expected = (
            issued.certificate.not_valid_before_utc.timestamp(),
            issued.certificate.not_valid_after_utc.timestamp(),
        )
        assert validity(issued.certificate.public_bytes(Encoding.DER)) == expected
    for rubbish in (b"", b"\x17\x0d999999999999Z\x17\x0d", b"\x17\x0d999999999999Z" * 2):
        assert None in validity(rubbish)


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert sentence(Look(), time.time()) is None
    assert sentence(Look(0.0, 10.0, None), 5.0) is None


async def test_a_server_that_answers_nothing_costs_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock_check, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert await clock_check.explain("127.0.0.1", port, Dialer()) is None
