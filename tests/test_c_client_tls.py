"""The C client behind `wss://`: the real server, with TLS in front of it as a proxy has it."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from c_client import EXACT, Driver, acquainted, aside, needs_c
from certificates import Authority, Issued
from fake_server import FakeServer
from serving import Serving

pytestmark = needs_c

Serve = Callable[..., Serving]

QUICK = (
    *("instance_id=c-1", "max_reconnect_delay_sec=0.2", "reconnect_jitter_enabled=false"),
    "server_shutdown_retry_delay_sec=0.2",
)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


class Front:
    """Takes TLS off, and passes everything on."""

    def __init__(self, issued: Issued, directory: Path, clients: Authority | None = None) -> None:
        files = issued.save(directory, "front")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(files.certificate, files.key)
        if clients is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(cadata=clients.certificate_pem.decode())
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        """Every connection ends without a word, of TLS or of the WebSocket."""
        for writer in self.writers:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def before(self, serving: Serving) -> AsyncIterator["Front"]:
        tasks: set[asyncio.Task[None] | None] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())
            self.writers.append(writer)
            inner = await asyncio.open_connection("127.0.0.1", serving.port)
            try:
                await asyncio.gather(_pass_on(reader, inner[1]), _pass_on(inner[0], writer))
            finally:
                inner[1].transport.abort()
                writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", self.port, ssl=self.context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*(one for one in tasks if one), return_exceptions=True)


def driver(build: Path, front: Front, *settings: str, host: str = "localhost") -> Driver:
    return Driver(build, f"url=wss://{host}:{front.port}", *QUICK, *settings)


async def test_a_life_by_tls_with_token_and_client_certificate(
    c_build: Path, serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    environ = {"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "right"}
    serving = serve(env=environ)
    front = Front(authority.issue("localhost"), tmp_path, clients=authority)
    own = authority.client("c-1").save(tmp_path, "own")
    settings = (
        *(f"ca_file={authority.save(tmp_path)}", "token=right"),
        *(f"cert_file={own.certificate}", f"key_file={own.key}"),
    )
    async with front.before(serving):
        with driver(c_build, front, *settings) as agent:
            await aside(agent.until_state, "ready")
            front.cut()
            await aside(
                agent.until_status,
                lambda one: one["last_close_code"] == 1006 and one["state"] == "ready",
                "return",
            )
            assert await aside(serving.stop) == 0
            assert (await aside(agent.until_event, "exited"))["code"] == 0
    assert "DeepStream client c-1 terminated gracefully" in serving.log


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_chain_and_an_address_are_verified(
    c_build: Path, lasting: Serving, authority: Authority, tmp_path: Path, host: str
) -> None:
    issued = authority.intermediate().issue("localhost", "127.0.0.1", key="rsa")
    async with Front(issued, tmp_path).before(lasting) as front:
        with driver(c_build, front, f"ca_file={authority.save(tmp_path)}", host=host) as agent:
            assert (await aside(agent.until_state, "ready"))["health"] == "ok"


async def test_reconnect_7_certificates_are_read_anew_before_each_attempt(
    c_build: Path, lasting: Serving, authority: Authority, tmp_path: Path
) -> None:
    """Both ends': one that another authority has issued is replaced on the disk, and it gets in."""
    clients = Authority("clients")
    front = Front(authority.issue("localhost"), tmp_path, clients=clients)
    own = authority.client("c-1").save(tmp_path, "own")
    ca = Authority("former").save(tmp_path)
    settings = (f"cert_file={own.certificate}", f"key_file={own.key}", f"ca_file={ca}")
    async with front.before(lasting):
        with driver(c_build, front, *settings) as agent:
            await aside(agent.until_error, "server_not_ready")
            authority.save(tmp_path)
            await aside(agent.until_status, lambda one: one["reconnect_attempts"] >= 3, "attempts")
            assert "ready" not in [one.get("state") for one in agent.events]
            clients.client("c-1").save(tmp_path, "own")
            await aside(agent.until_state, "ready")


async def test_what_is_wrong_with_the_server_s_certificate_is_said(
    c_build: Path, lasting: Serving, authority: Authority, tmp_path: Path
) -> None:
    expired = authority.issue("localhost", ends=-timedelta(hours=1))
    async with Front(expired, tmp_path).before(lasting) as front:
        ca = f"ca_file={authority.save(tmp_path)}"
        for words in ((ca,), (ca, "health_check_enabled=false")):
            with driver(c_build, front, *words) as agent:
                await aside(agent.until_state, "waiting")
                await aside(agent.until_error, "it has expired, if the clock here is right")


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
def test_a_file_that_holds_no_certificate_is_said_at_start(
    c_build: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "nonsense.pem"
    path.write_text("nonsense")
    with Driver(c_build, "url=wss://localhost:1", f"{name}={path}") as agent:
        error = agent.until_event("failed")["error"]
        assert f"{name}: cannot use {path}" in error
        assert agent.close() == 0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost that signs itself, and its key."""
    directory = tmp_path_factory.mktemp("certificates")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    return directory


def tls_of(certificates: Path, *, wants_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "cert.pem")
    return context


def trusting(certificates: Path) -> tuple[str, ...]:
    return (f"ca_file={certificates / 'cert.pem'}",)


async def test_wss_a_whole_life_with_a_token_and_a_client_certificate(
    c_build: Path, certificates: Path
) -> None:
    async with FakeServer(tls_of(certificates, wants_client=True)) as server:
        own = (f"cert_file={certificates / 'cert.pem'}", f"key_file={certificates / 'key.pem'}")
        agent, peer = await acquainted(
            c_build, server, *trusting(certificates), *own, "token=s3cret"
        )
        with agent:
            assert peer.introduction["token"] == "s3cret"
            await peer.send("work", text="a" * 300_000)
            got = await aside(agent.until_event, "message")
            assert len(got["message"]["text"]) == 300_000
            assert await aside(agent.send, {"type": "work", "text": "b" * 300_000})
            assert len((await peer.recv())["text"]) == 300_000
            await peer.send("terminate_app", request_id="r-1", reason="")
            assert (await peer.recv())["status"] == "OK"
            await peer.close(1000, "Client terminated")
            assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_wss_with_an_authority_of_its_own_does_not_read_all_the_others(
    c_build: Path, certificates: Path
) -> None:
    """Those of the distribution take 8 MB of memory."""
    async with FakeServer(tls_of(certificates)) as server:
        agent, _ = await acquainted(c_build, server, *trusting(certificates))
        with agent:
            assert agent.resident_bytes < 15e6


UNTRUSTED = {
    "untrusted": "no authority that is trusted here has signed it; ca_file names others",
    "no client certificate": "server_not_ready",
    "another name": "it is of another name",
}


@pytest.mark.parametrize("case", UNTRUSTED)
async def test_wss_that_is_not_to_be_trusted_is_an_attempt_that_failed(
    c_build: Path, certificates: Path, case: str
) -> None:
    tls = tls_of(certificates, wants_client=case == "no client certificate")
    async with FakeServer(tls) as server:
        url = server.url.replace(
            "localhost", "127.0.0.1" if case == "another name" else "localhost"
        )
        settings = () if case == "untrusted" else trusting(certificates)
        with Driver(c_build, f"url={url}", *EXACT, *settings) as agent:
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["retry_in"] == 1
            assert waiting["health"] == "unreachable"
            await aside(agent.until_error, UNTRUSTED[case])


async def test_wss_at_a_plain_port_says_what_to_use(c_build: Path) -> None:
    async with FakeServer() as server:
        url = server.url.replace("ws:", "wss:")
        with Driver(c_build, f"url={url}", "health_check_enabled=false", *EXACT) as agent:
            await aside(agent.until_state, "waiting")
            await aside(agent.until_error, "does not speak TLS; use ws://")
