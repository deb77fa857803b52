"""`serve`: a server that is the whole process. Signals, limits, exit code and report are here."""

import asyncio
import errno
import gc
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import orjson
import uvloop

from dscore import log
from dscore.cli import activation, deadline, descriptors, reaper, startup
from dscore.cli.allocator import give_memory_back
from dscore.cli.errors import INTERRUPTED, OK, USAGE, CliError
from dscore.config import Config, load
from dscore.errors import BindError, DscoreError, StoreError
from dscore.http.loopback import is_loopback
from dscore.messages import Intent
from dscore.policy import Policy
from dscore.server import Server
from dscore.store import open_store
from dscore_agent.cli.ctrl_c import CtrlC
from dscore_agent.cli.systemd import Notifier

Flags = Mapping[str, object]

_log = log.get_logger("dscore.serve")


def serve(path: Path | None, flags: Flags, *, insecure: bool) -> NoReturn:
    """Runs a server until a drain is over, then ends the process.

    Args:
        path: The configuration file.
        flags: Settings of the command line, by dotted name; None: not given.
        insecure: Listen beyond loopback even without tokens and TLS.

    Raises:
        ConfigError: A setting or a token file is wrong.
        CliError: The server cannot start.
    """
    passed = activation.passed_address(os.environ)
    if passed is not None:
        # The socket is there already: what the configuration says of an address comes too late.
        flags = {**flags, "listen.host": passed[0], "listen.port": passed[1]}
    if insecure:
        flags = {**flags, "tls.required": False}
    loaded = load(path, flags=flags, environ=os.environ)
    check_exposure(loaded.config, insecure=insecure)
    descriptors.raise_limit()
    give_memory_back()
    service = Service(loaded.config, path, flags, passed_socket=passed is not None)
    log.configure(loaded.config.log)
    for warning in loaded.warnings:
        _log.warning("config_warning", warning=warning)
    try:
        uvloop.run(_live(service))
    except BaseException:
        log.flush()
        raise
    raise AssertionError("a service ends with its process")


async def _live(service: "Service") -> NoReturn:
    # Within the loop: at its end it would give the signals their own meaning back, and one more
    # SIGTERM would take the exit code away.
    _exit(await service.run())


class Service:
    """One server and the process around it."""

    def __init__(
        self, config: Config, path: Path | None, flags: Flags, *, passed_socket: bool
    ) -> None:
        """Reads the token files, binds nothing yet."""
        self._path = path
        self._flags = flags
        self._notifier = Notifier()
        self._server = Server(
            config,
            policy=_Announcing(self._notifier),
            store=open_store(config.store.path),
            leaves_token=True,
            passed_socket=passed_socket,
        )
        self._starting: asyncio.Task[None] | None = None
        self._drains: set[asyncio.Task[None]] = set()
        self._ctrl_c = CtrlC()
        self._is_given_up = False
        self._is_restarted = False
        self._reload_is_due = False

    async def run(self) -> int:
        """Starts, serves, drains and closes the server.

        Returns:
            The exit code.
        """
        loop = asyncio.get_running_loop()
        self._install_signals(loop)
        if reaper.is_needed():
            reaper.Reaper(loop)
        self._starting = loop.create_task(self._server.start())
        if not await self._started(self._starting):
            return OK
        self._announce(loop)
        if self._reload_is_due or startup.has_come(signal.SIGHUP):
            self._reload()
        code = await self._server.wait()
        # The code says how the drain went, and no mishap on the way out may change it.
        try:
            self._write_report()
            await self._server.close()
        except Exception:
            _log.exception("close_failed")
        return code

    async def _started(self, starting: "asyncio.Task[None]") -> bool:
        """Whether it has started; no, if it was told to stop before that."""
        config = self._server.config
        try:
            await starting
        except asyncio.CancelledError:
            return False
        except BindError as error:
            raise CliError(_bind_sentence(config, error)) from None
        except StoreError as error:
            raise CliError(str(error)) from None
        except ValueError as error:  # a setting that only the core can judge
            raise CliError(str(error), USAGE) from None
        return True

    def _announce(self, loop: asyncio.AbstractEventLoop) -> None:
        # What the imports and the start have made stays for good: no collection of a fleet's
        # garbage need look at it again.
        gc.freeze()
        server = self._server
        host, port = server.address
        where = _authority(host, port)
        secure = {} if server.tls.address is None else _secure_urls(server.tls.address)
        _log.info(
            "serving",
            url=f"http://{where}",
            agents=f"ws://{where}/deepstream/ws",
            **secure,
            pid=os.getpid(),
            reactors=server.config.listen.reactors,
        )
        # Now that all is open which is no connection.
        descriptors.warn_if_few(server.config)
        deadline.warn(server.config.shutdown)
        self._notifier.ready()
        self._notifier.status(f"Serving agents on {where}")
        if self._notifier.watchdog_interval is not None:
            self._feed_watchdog(loop, self._notifier.watchdog_interval)

    def _feed_watchdog(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._notifier.watchdog()
        loop.call_later(interval, self._feed_watchdog, loop, interval)

    def _install_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGTERM, self._drain, "SIGTERM", None)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGUSR1, self._drain, "SIGUSR1", "restart")
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _interrupted(self) -> None:
        if self._ctrl_c.is_second():
            _log.warning("interrupted")
            _exit(INTERRUPTED)
        self._drain("SIGINT", None)

    def _drain(self, source: str, intent: Intent | None) -> None:
        """Begins a drain; one that runs goes on as it is."""
        _audit(source, "drain")
        if not self._server.is_started:
            # Once: what has begun to clean up after itself must not be cancelled in that.
            if self._starting is not None and not self._is_given_up:
                self._is_given_up = True
                self._starting.cancel()
            return
        self._notifier.extend_timeout(deadline.seconds(self._server.config.shutdown))
        self._is_restarted |= intent == "restart"
        task = asyncio.get_running_loop().create_task(self._join_drain())
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _join_drain(self) -> None:
        # A step after the signal: of several that come together the last is heard first, and the
        # SIGTERM of `systemctl restart` must not make another drain of SIGUSR1's.
        intent: Intent | None = "restart" if self._is_restarted else None
        try:
            await self._server.drain(intent=intent)
        except Exception:
            _log.debug("drain_joined_in_vain", exc_info=True)  # the server itself logs why

    def _reload(self) -> None:
        _audit("SIGHUP", "reload")
        if not self._server.is_started:
            self._reload_is_due = True
            return
        self._notifier.reloading()
        self._take_over_settings()
        self._notifier.ready()

    def _take_over_settings(self) -> None:
        try:
            loaded = load(self._path, flags=self._flags, environ=os.environ)
        except (DscoreError, ValueError, OSError) as error:
            self._server.reload_failed()
            _log.error("reload_failed", reason=str(error))
            return
        try:
            changes = self._server.reload(loaded.config)
        except (DscoreError, ValueError, OSError) as error:
            _log.error("reload_failed", reason=str(error))
            return
        log.configure(loaded.config.log)
        if changes.needs_restart:
            _log.warning("reload_needs_restart", settings=list(changes.needs_restart))

    def _write_report(self) -> None:
        status, path = self._server.drain_status(), self._server.config.shutdown.report
        if status is None or status.report is None or path is None:
            return
        document = orjson.dumps(
            status.report.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
        # Written beside it and renamed: a reader of the file never sees half of it.
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(document)
            partial.replace(path)
        except OSError as error:
            _log.error("report_failed", path=str(path), reason=error.strerror)
            partial.unlink(missing_ok=True)


class _Announcing(Policy):
    """Tells the service manager of a drain, however it was begun."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def on_drain(self, intent: str) -> None:
        self._notifier.stopping()


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _secure_urls(address: tuple[str, int]) -> dict[str, str]:
    where = _authority(*address)
    return {"tls_url": f"https://{where}", "tls_agents": f"wss://{where}/deepstream/ws"}


def check_exposure(config: Config, *, insecure: bool) -> None:
    """Passes a configuration that lets in only what shows a token, where others could reach it.

    Raises:
        CliError: it would let in more.
    """
    auth = config.auth
    if auth.required and not (auth.token_file or auth.tokens or auth.jwt_keys):
        raise CliError(
            "auth.required is on, but there is no token that would let an agent in; set "
            "auth.token_file, a file with one token a line, or auth.jwt_keys",
            USAGE,
        )
    host = config.listen.host
    if is_loopback(host) or insecure:
        return
    tls = config.tls
    lacks, remedies = [], []
    if not auth.required:
        lacks.append("tokens")
        remedies.append("set auth.required and auth.token_file")
    if not (tls.certificates or config.listen.trusted_proxies or not tls.required):
        lacks.append("TLS")
        remedies.append(
            "give --tls-cert and --tls-key (or name the proxy that speaks it in "
            "listen.trusted_proxies; tls.required = false goes without)"
        )
    if lacks:
        raise CliError(
            f"refusing to listen on {host} without {' and '.join(lacks)}: other machines could "
            f"reach it; {' and '.join(remedies)}, or add --insecure",
            USAGE,
        )


def _audit(source: str, action: str) -> None:
    """A signal is a use of power like a call of the operator API, and is written down like one."""
    _log.info("operator_action", who="signal", source=source, action=action)


REMEDIES: Final = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another --port",
    errno.EACCES: "ports below 1024 need privileges; choose another --port",
    errno.EADDRNOTAVAIL: "this machine does not have that address; choose another --host",
}


def _bind_sentence(config: Config, error: BindError) -> str:
    cause = os.strerror(error.errno).lower() if error.errno else str(error)
    remedy = REMEDIES.get(error.errno or 0, "choose another --host or --port")
    host, port = config.listen.host, config.listen.port
    if config.tls.port and f":{config.tls.port}: " in str(error):
        port, remedy = config.tls.port, remedy.replace("--port", "tls.port")
    return f"cannot listen on {host}:{port}: {cause}: {remedy}"


def _exit(code: int) -> NoReturn:
    """Ends the process at once, everything being closed: tearing down the interpreter takes 25 ms
    for an empty fleet, and more for each agent."""
    log.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
