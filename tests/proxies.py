"""Real reverse proxies before a real server, by the configurations in packaging/.

with started("nginx", serving, issued, directory) as proxy:
    proxy.url  # https://localhost:…, where the server is behind
"""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from certificates import Issued
from ports import lasting
from serving import Serving
from waiting import wait_until

PACKAGING = Path(__file__).parent.parent / "packaging"
READY_SECONDS = 30.0
NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""Where Debian's nginx has it as a module; others have it built in."""


@dataclass(frozen=True)
class Proxy:
    """One that runs."""

    port: int

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ws(self) -> str:
        return f"wss://localhost:{self.port}/deepstream/ws"


def find(name: str) -> str | None:
    """The program of a proxy, if it is installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def started(name: str, serving: Serving, issued: Issued, directory: Path) -> Iterator[Proxy]:
    """Runs a proxy before a server; ends it afterwards.

    Args:
        name: nginx, haproxy or caddy; nginx-passthrough or haproxy-passthrough, which leave TLS to
            the server.
        issued: the certificate that it shows.
        directory: where it may write.
    """
    program = find(name.partition("-")[0])
    assert program is not None
    port = lasting()
    command = _PREPARE[name](program, serving, issued, port, directory)
    environ = {**os.environ, "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environ, cwd=directory
        )
    try:
        wait_until(lambda: _answers(port, process, log), f"{name} that answers", READY_SECONDS)
        yield Proxy(port)
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


def _answers(port: int, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as one,
        ):
            one.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return one.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _configuration(path: str, changes: dict[str, str]) -> str:
    """A file of packaging/, with what is this test's in the place of what is a site's."""
    text = (PACKAGING / path).read_text()
    for old, new in changes.items():
        assert old in text, f"{path} says {old} no more"
        text = text.replace(old, new)
    return text


def _nginx(program: str, serving: Serving, issued: Issued, port: int, directory: Path) -> list[str]:
    files = issued.save(directory, "nginx")
    site = _configuration(
        "nginx/dscore.conf",
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "127.0.0.1:8765": f"127.0.0.1:{serving.port}",
            "server_name fleet.example;": "server_name fleet.example localhost;",
            "/etc/ssl/fleet.example.pem": str(files.certificate),
            "/etc/ssl/private/fleet.example.key": str(files.key),
        },
    )
    (directory / "dscore.conf").write_text(site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log stderr; worker_processes 1;\n"
        f"events {{}}\nhttp {{ access_log off; {places} include {directory}/dscore.conf; }}\n"
    )
    return [program, "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")]


def _haproxy(
    program: str, serving: Serving, issued: Issued, port: int, directory: Path
) -> list[str]:
    pair = directory / "haproxy.pem"
    pair.write_bytes(issued.certificate_pem + issued.key_pem)
    text = _configuration(
        "haproxy/haproxy.cfg",
        {
            "bind :443 ssl": f"bind 127.0.0.1:{port} ssl",
            "/etc/haproxy/fleet.example.pem": str(pair),
            "127.0.0.1:8765": f"127.0.0.1:{serving.port}",
            "maxconn 40000": "maxconn 400",
        },
    )
    (directory / "haproxy.cfg").write_text(text)
    return [program, "-db", "-f", str(directory / "haproxy.cfg")]


def _caddy(program: str, serving: Serving, issued: Issued, port: int, directory: Path) -> list[str]:
    files = issued.save(directory, "caddy")
    site = _configuration(
        "caddy/Caddyfile",
        {
            "fleet.example:443 {": f"https://fleet.example:{port}, https://localhost:{port} {{\n"
            "\tbind 127.0.0.1",
            "/etc/caddy/fleet.example.pem": str(files.certificate),
            "/etc/caddy/fleet.example.key": str(files.key),
            "127.0.0.1:8765": f"127.0.0.1:{serving.port}",
        },
    )
    rest = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (directory / "Caddyfile").write_text(rest + site)
    return [program, "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


def _haproxy_passthrough(
    program: str, serving: Serving, issued: Issued, port: int, directory: Path
) -> list[str]:
    text = _configuration(
        "haproxy/passthrough.cfg",
        {
            "bind :443": f"bind 127.0.0.1:{port}",
            "127.0.0.1:8765": f"127.0.0.1:{serving.port}",
            "maxconn 40000": "maxconn 400",
            "inter 2s": "inter 200ms",
        },
    )
    (directory / "haproxy.cfg").write_text(text)
    return [program, "-db", "-f", str(directory / "haproxy.cfg")]


def _nginx_passthrough(
    program: str, serving: Serving, issued: Issued, port: int, directory: Path
) -> list[str]:
    site = _configuration(
        "nginx/passthrough.conf",
        {
            "listen 443;": f"listen 127.0.0.1:{port};",
            "127.0.0.1:8765": f"127.0.0.1:{serving.port}",
        },
    )
    (directory / "dscore.conf").write_text(site)
    module = f"load_module {NGINX_STREAM};" if NGINX_STREAM.exists() else ""
    (directory / "nginx.conf").write_text(
        f"{module} daemon off; pid {directory}/nginx.pid; error_log stderr; worker_processes 1;\n"
        f"events {{}}\ninclude {directory}/dscore.conf;\n"
    )
    return [program, "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")]


_PREPARE: dict[str, Callable[[str, Serving, Issued, int, Path], list[str]]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "caddy": _caddy,
    "haproxy-passthrough": _haproxy_passthrough,
    "nginx-passthrough": _nginx_passthrough,
}
