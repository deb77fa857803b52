"""`dscore doctor`: would a server with this configuration, on this machine, hold so many agents?

It changes nothing: the port is bound and let go of, the store is looked at without being opened.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from dscore.auth import read_keyring
from dscore.cli import output
from dscore.cli.errors import FAILED, OK, CliError
from dscore.cli.machine import Finding, Machine, judge, read_machine
from dscore.cli.serve import REMEDIES, check_exposure
from dscore.config import Config, load
from dscore.errors import ConfigError
from dscore.policy.deadline import needed, short_of

AGENTS = 10_000
"""The fleet that is meant, where none is named."""
STORE_BYTES_EACH = 4096
"""Of an agent in the store: its row, its session, and the younger part of its timeline."""
CLOCK_SLACK = 60.0
"""Seconds that a file may be ahead: another machine may have written it."""
WITHOUT_LOCKS = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
"""File systems on which SQLite's write-ahead log does not work: it shares memory."""
MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


def doctor(path: Path | None, agents: int, *, as_json: bool) -> int:
    """Looks at everything, and tells what is to be mended and how.

    Returns:
        FAILED if something would keep the server from its work; warnings do not.

    Raises:
        ConfigError: The configuration is wrong.
    """
    loaded = load(path, environ=os.environ)
    findings = list(findings_of(loaded.config, read_machine(), agents))
    findings += [Finding("setting", "warning", each) for each in loaded.warnings]
    failed = sum(each.level == "failed" for each in findings)
    warnings = sum(each.level == "warning" for each in findings)
    if as_json:
        items = [
            {"name": f.name, "level": f.level, "text": f.text, "remedy": f.remedy or None}
            for f in findings
        ]
        output.json({"agents": agents, "failed": failed, "warnings": warnings, "items": items})
        return FAILED if failed else OK
    for each in findings:
        output.line(f"{MARKS[each.level]:8} {each.name:12} {output.printable(each.text)}")
        if each.remedy:
            output.line(f"{'':8} {'':12} -> {output.printable(each.remedy)}")
    output.line(f"for {agents:,} agents: {failed} failed, {warnings} to look at")
    return FAILED if failed else OK


def findings_of(config: Config, machine: Machine, agents: int) -> Iterator[Finding]:
    """All of them."""
    yield _of_tokens(config)
    yield from _of_ports(config)
    yield _of_store(config, machine, agents)
    yield _of_deadline(config)
    yield from judge(machine, config, agents)
    most = config.limits.connections
    if most is not None and most < agents:
        text = f"limits.connections = {most:,}: no room for {agents:,} agents"
        yield Finding("connections", "failed", text, "raise it, or leave it out")


def _of_tokens(config: Config) -> Finding:
    try:
        check_exposure(config, insecure=False)
        read_keyring(config.auth)
    except (CliError, ConfigError) as error:
        cause, _, remedy = str(error).partition("; ")
        return Finding("access", "failed", cause, remedy)
    required = "tokens required" if config.auth.required else "no tokens asked for"
    return Finding("access", "ok", f"{required} on {config.listen.host}")


def _of_ports(config: Config) -> Iterator[Finding]:
    ports = {"listen.port": config.listen.port}
    if config.tls.port is not None:
        ports["tls.port"] = config.tls.port
    for name, port in ports.items():
        yield _of_port(name, config.listen.host, port)


def _of_port(name: str, host: str, port: int) -> Finding:
    place = f"{name}: {host} {port}"
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with closing(socket.socket(family, kind, number)) as probe:
            # As the server does: a port that only has closed connections left is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        remedy = REMEDIES.get(error.errno or 0, "give listen.host an address of this machine")
        return Finding("port", "failed", f"{place}: {cause}", f"{remedy} (ss -ltnp names it)")
    return Finding("port", "ok", f"{place} is free")


def _of_store(config: Config, machine: Machine, agents: int) -> Finding:
    if config.store.path == ":memory:":
        text = "store.path = :memory:: sessions and history do not outlive a restart"
        return Finding("store", "warning", text, "give it a file, on a local disk")
    path = Path(os.path.realpath(config.store.path))
    folder = path.parent
    if not folder.is_dir() or path.is_dir():
        text = f"{path}: {'is a folder' if path.is_dir() else 'its folder is not there'}"
        return Finding("store", "failed", text, f"mkdir -p {folder}, or another store.path")
    for each in (folder, path):
        if each.exists() and not os.access(each, os.W_OK):
            text = f"{each} cannot be written"
            return Finding("store", "failed", text, "give it to the user that the server runs as")
    kind = _file_system(folder)
    if kind in WITHOUT_LOCKS:
        text = f"{folder} is on {kind}, where SQLite cannot share its log"
        return Finding("store", "failed", text, "put store.path on a local disk")
    return _of_room(config, machine, path, agents)


def _of_room(config: Config, machine: Machine, path: Path, agents: int) -> Finding:
    free = shutil.disk_usage(path.parent).free
    wanted = min(config.limits.history_bytes, agents * STORE_BYTES_EACH) + agents * STORE_BYTES_EACH
    if free < wanted:
        text = f"{path}: {free >> 20:,} MiB free, and it may take {wanted >> 20:,} MiB"
        return Finding("store", "failed", text, "more room, or a lower limits.history_bytes")
    with_clock = path.stat().st_mtime if path.exists() else 0.0
    if with_clock > machine.now + CLOCK_SLACK:
        hence = output.span(with_clock - machine.now)
        text = f"{path} was written {hence} from now: a clock is, or was, wrong"
        return Finding("store", "warning", text, "set the clock before the server starts")
    words = "is there" if path.exists() else "will be made"
    return Finding("store", "ok", f"{path} {words}, {free >> 20:,} MiB free")


def _file_system(folder: Path) -> str:
    """Of the mount that the folder is in: the longest one that leads to it."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    for row in mounts:
        fields = row.split()
        if len(fields) < 3:
            continue
        at = fields[1].encode().decode("unicode_escape")
        if folder.is_relative_to(at) and len(at) >= len(best):
            best, kind = at, fields[2]
    return kind


def _of_deadline(config: Config) -> Finding:
    shutdown = config.shutdown
    takes = needed(shutdown)
    if shutdown.deadline is None:
        text = f"shutdown.deadline is not set; a drain may take {takes:g} s"
        remedy = (
            "set it to what the supervisor gives: TimeoutStopSec, terminationGracePeriodSeconds"
        )
        return Finding("shutdown", "warning", text, remedy)
    if short := short_of(shutdown):
        cut = ", ".join(f"shutdown.{name}" for name in short)
        text = f"{shutdown.deadline:g} s; a drain may take {takes:g} s, and cuts {cut}"
        return Finding("shutdown", "warning", text, "more patience of the supervisor, if it may be")
    return Finding("shutdown", "ok", f"{shutdown.deadline:g} s for {takes:g} s")
