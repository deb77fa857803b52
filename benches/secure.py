"""The servers that are measured over TLS; each shows a P-256 certificate.

rustls and nginx do not speak the exchange: they are the limit of a handshake, and a yardstick of
memory.
"""

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.certificates import Authority, Files

from benches.peers import PEERS
from benches.programs import Programs
from benches.server import Server, accepts, free_port, is_ready_securely, start

SECURE_PEERS = ("picows", "websockets", "ws", "uWebSockets.js")
"""Those whose programs take a certificate."""
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
NGINX_CONFIG = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 32768; }}
http {{
    access_log off;
    client_header_timeout 10m;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {files.certificate};
        ssl_certificate_key {files.key};
        ssl_protocols TLSv1.3;
        ssl_ecdh_curve X25519:prime256v1;
    }}
}}
"""


def certificate(directory: Path) -> Files:
    """Of 127.0.0.1, made anew."""
    return Authority().issue("localhost", "127.0.0.1").save(directory)


def start_rustls(programs: Programs, directory: Path) -> Server:
    """`floor/tls.rs`."""
    port, files = free_port(), certificate(directory)
    command: list[str | Path] = [programs.tls_floor, str(port), files.certificate, files.key]
    return start(command, port, directory, accepts, scheme="wss")


def start_nginx(programs: Programs, directory: Path) -> Server:
    """One process, which waits for requests."""
    assert NGINX is not None
    port, files = free_port(), certificate(directory)
    config = directory / "nginx.conf"
    config.write_text(NGINX_CONFIG.format(port=port, files=files))
    command: list[str | Path] = [NGINX, "-p", directory, "-c", config, "-e", "stderr"]
    return start(command, port, directory, accepts, scheme="wss")


def start_dscore(programs: Programs, directory: Path, *, record_layer: str) -> Server:
    """`serve --tls-cert --tls-key`, with its defaults but for the store, and for the time before an
    introduction: some benches leave agents there."""
    port, files = free_port(), certificate(directory)
    config = directory / "dscore.toml"
    config.write_text(f'[auth]\ntimeout = "5m"\n[tls]\nrecord_layer = "{record_layer}"\n')
    words = ("--config", config, "--port", str(port), "--store", ":memory:")
    secure = ("--tls-cert", files.certificate, "--tls-key", files.key)
    command: list[str | Path] = [sys.executable, "-m", "dscore", "serve", *words, *secure]
    return start(command, port, directory, is_ready_securely, scheme="wss")


def start_peer(name: str, programs: Programs, directory: Path) -> Server:
    """One of `peers/`."""
    port, files = free_port(), certificate(directory)
    command: list[str | Path] = [*PEERS[name].command, str(port), files.certificate, files.key]
    return start(command, port, directory, accepts, PEERS[name].dialect, "wss")


SECURE: dict[str, Callable[[Programs, Path], Server]] = {
    "rustls": start_rustls,
    "dscore-tls": partial(start_dscore, record_layer="rustls"),
    "dscore-tls-own": partial(start_dscore, record_layer="own"),
    "nginx-tls": start_nginx,
    **{f"{name}-tls": partial(start_peer, name) for name in SECURE_PEERS},
}
