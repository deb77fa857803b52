"""The `Server` itself: it owns the pool and the parts, from its start to the end of its drain."""

import asyncio
import time
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, get_args

from dscore import _core
from dscore.arguments import flag, one_of
from dscore.auth import has_operator_tokens
from dscore.clock import wall
from dscore.config import Changes, Config
from dscore.errors import DrainingError
from dscore.log import get_logger
from dscore.messages import Intent
from dscore.policy import Policy
from dscore.policy.drain import DrainDetail, DrainReport, DrainStatus
from dscore.policy.liveness import configure, new_fleet
from dscore.server.drain import Draining
from dscore.server.fleet import Fleet
from dscore.server.hooks import Hooks
from dscore.server.live import REFUSAL_REASONS, Live
from dscore.server.loop_lag import LoopLag
from dscore.server.origin_warning import warn_of_every_origin
from dscore.server.own_token import OwnToken, warn_of_readable_files
from dscore.server.readiness import why_full
from dscore.server.restore import restore
from dscore.server.settings import Settings
from dscore.server.stats import stats
from dscore.server.tasks import Tasks
from dscore.server.tls import Tls
from dscore.server.wiring import Parts, assemble, running
from dscore.store import MemoryStore, Store, StoreHealth
from dscore.store.behind import Behind

if TYPE_CHECKING:
    from dscore._core import ReactorPool, ServingState
    from dscore.http.asgi import App

_log = get_logger("dscore.server")


class Server:
    """The server of a fleet: its life from the start to the end of the drain. Its agents are in
    `fleet`.

        async with dscore.Server(config, policy=MyPolicy(), app=my_asgi_app) as server:
            server.fleet.agent("cam-1")
            await server.wait()

    It is used from the event loop's thread only. Signals, log output and the process are the
    program's business.
    """

    _core: ClassVar[ModuleType] = _core
    """Where the pool, the wheel and the types of the events come from: what tests replace."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        policy: Policy | None = None,
        app: "App | None" = None,
        store: Store | None = None,
        leaves_token: bool = False,
        passed_socket: bool = False,
    ) -> None:
        """Reads the token files, and binds nothing yet.

        Args:
            config: all defaults if left out.
            policy: the program's own decisions.
            app: an ASGI app, served on the same port wherever dscore has no page of its own.
            store: where agents, sessions and timelines are kept: `open_store(path)` is what
                `serve` uses; in memory if left out.
            leaves_token: leave `operator_token`, where the server makes one, in the file in which
                the command line finds it, as `serve` does.
            passed_socket: listen on what the service manager passes on (sd_listen_fds(3)).

        Raises:
            ConfigError: a token file cannot be read.
        """
        self._table = new_fleet()
        self._store = Behind(self._table, MemoryStore() if store is None else store)
        self.fleet: Final = Fleet(self._table, self._store)
        """The agents, known also before the start; told and asked only after it."""
        self._parts: Parts | None = None
        """None before the start."""
        self._policy = policy or Policy()
        self._settings = Settings(
            config or Config(),
            self._policy,
            self._core,
            has_guest=app is not None,
            passed_socket=passed_socket,
        )
        self._app = app
        self._own_token = OwnToken(leaves_file=leaves_token)
        self._tasks = Tasks()
        self.tls: Final = Tls(self._core)
        self._begun = self._closing = False
        self._exit_code = 0
        self._finished = asyncio.Event()
        self._drain_task: asyncio.Task[DrainReport] | None = None

    async def start(self) -> None:
        """Binds, starts the app and the reactors; when it returns, agents are let in.

        Raises:
            BindError: the address cannot be had.
            StoreError: what was kept cannot be read.
            LifespanError: the app said that it cannot start.
            ValueError: the core does not take a setting, a file of TLS, or a namespace of ours.
            RuntimeError: it was started before; a server is started once.
        """
        if self._begun:
            raise RuntimeError("this server was started before: make another one")
        core_config = self._settings.of_core(self.config)
        self._settings.max_connections = core_config.max_connections
        self.tls.load(self.config)
        pool: ReactorPool = self._core.ReactorPool(core_config, self.tls.handshakes)
        # Not before: an address that could not be had may be tried again.
        self._begun = True
        parts = self._assemble(pool, core_config.reactors)
        try:
            await parts.bridge.startup()
            # Last, so that no agent's time to come back has begun before it could connect.
            history = await restore(parts.live)
            parts.start(history)
        except BaseException:
            self._own_token.start_failed()
            await parts.stop()
            raise
        self._parts = parts
        self.fleet.started(parts)
        parts.live.started_at = time.monotonic()
        parts.live.timeline.server("started", pool.now_ms(), version=_core.__version__)
        _log.info("server_started", **self.tls.started(pool))

    def _assemble(self, pool: "ReactorPool", reactors: int) -> Parts:
        """The parts around a pool; where they cannot be put together, it is closed."""
        live: Live | None = None
        try:
            warn_of_readable_files(self.config.auth)
            warn_of_every_origin(self.config)
            configure(self._table, self.config.monitoring)
            live = Live(
                handles=self.fleet,
                config=self.config,
                pool=pool,
                fleet=self._table,
                store=self._store,
                hooks=Hooks(self._policy, self._tasks),
                tasks=self._tasks,
                keyring=self._own_token.unless(self._settings.keyring, pool.address()),
                reactors=reactors,
                wall=self._wall,
            )
            return assemble(live, self._core, self, self._app)
        except BaseException:
            self._own_token.start_failed()
            if live is not None:
                live.clock.close()
            pool.close()
            raise

    async def wait(self) -> int:
        """Waits until a drain is over, or the server is closed.

        Returns:
            The exit code of a program that is nothing but this server: 0; 3 if an agent failed,
            timed out or vanished in the drain; 1 if the drain itself failed.
        """
        await self._finished.wait()
        return self._exit_code

    async def close(self) -> None:
        """Closes what is still open, 1001 where it can be said, and stops. Asks no agent to stop:
        that is `drain`."""
        if self._parts is None:
            return
        if self._closing:
            await self._finished.wait()
            return
        self._closing = True
        live = self._parts.live
        if self._drain_task is not None and not self._drain_task.done():
            self._drain_task.cancel()
            self._exit_code = 1
        try:
            if live.serving != "draining":
                live.stop_taking()
                live.fleet.stop_clock(live.pool.now_ms())
            if not self._table.is_empty():
                await live.readings.take(to_store=True)
                self._parts.watchers.flush()
                live.pool.close_all(1001, "Server shutting down gracefully", "shutdown")
                left = live.deadline.left(live.pool.now_ms())
                await live.wait_until_empty(min(self.config.shutdown.close_timeout, left))
            live.timeline.server("stopped", live.pool.now_ms())
        finally:
            await self._parts.stop()
            if self.config.listen.port == 0:
                self._own_token.take_back()
            self._finished.set()
            _log.info("server_stopped")

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def config(self) -> Config:
        return self._settings.config

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the real port where 0 was asked for."""
        return self._running.live.pool.address()

    @property
    def operator_token(self) -> str | None:
        """The token that POST and DELETE of the operator API take where none is configured, and
        that is made for this; None where one is. No file holds it but with `leaves_token`."""
        return None if has_operator_tokens(self.config.auth) else self._own_token.value

    @property
    def uptime(self) -> float:
        """Seconds since the start was complete."""
        return 0.0 if self._parts is None else self._parts.live.uptime

    @property
    def is_started(self) -> bool:
        return self._parts is not None

    @property
    def is_draining(self) -> bool:
        return self._serving == "draining"

    @property
    def is_ready(self) -> bool:
        """Whether agents are let in."""
        return self._serving == "open"

    def why_full(self) -> str | None:
        """Why no agent more can be let in; None while one can."""
        return why_full(self._running.live.pool.stats().as_dict(), self._settings.max_connections)

    @property
    def maintenance(self) -> bool:
        return self._serving == "maintenance"

    def set_maintenance(self, *, enabled: bool) -> None:
        """Closes agents and unauthenticated connections 1013 and lets none in until it is switched
        off; watchers stay, and may come in. Grace periods stand still.

        Raises:
            DrainingError: a drain has begun.
            ValueError: `enabled` is neither True nor False.
        """
        flag("enabled", enabled)
        parts = self._running
        live, now = parts.live, parts.live.pool.now_ms()
        if live.serving == "draining":
            raise DrainingError("the server is draining")
        if enabled == (live.serving == "maintenance"):
            return
        # What was not looked at until now must not count as maintenance.
        live.clock.read()
        live.serve("maintenance" if enabled else "open")
        if enabled:
            staying = live.fleet.only_watching()
            live.sent_away = frozenset(live.fleet.conns()).difference(staying)
            live.fleet.stop_clock(now)
            live.pool.close_all(1013, REFUSAL_REASONS["maintenance"], spare_watchers=True)
        else:
            live.fleet.start_clock(now)
            parts.timers.rearm(now)
        parts.watchers.maintenance(enabled=enabled)
        live.timeline.server("maintenance", now, enabled=enabled)
        _log.info("maintenance", enabled=enabled)

    async def drain(
        self, *, intent: Intent | None = None, timeout: float | None = None
    ) -> DrainReport:
        """Shuts the fleet down gracefully, and reports. A second call joins the first, whatever it
        asks for.

        Afterwards every WebSocket is closed and the pages still answer, until `close`.

        Args:
            intent: "terminate" asks agents to stop their applications; "restart" lets them go on
                and come back. `shutdown.intent` if left out.
            timeout: seconds each agent has; `shutdown.timeout` if left out.

        Raises:
            ValueError: `intent` is another word; `timeout` is no number, negative, or longer than a
                day.
        """
        if intent is not None:
            one_of("intent", intent, get_args(Intent))
        parts = self._running
        seconds = parts.live.termination_timeout(timeout)
        if self._drain_task is None:
            intent = intent or self.config.shutdown.intent
            draining = Draining(parts.live, parts.watchers, intent, seconds)
            draining.begin()
            parts.dispatch.notes.draining = draining
            self._drain_task = asyncio.create_task(self._run_drain(draining), name="drain")
        # A caller that is cancelled does not stop the drain.
        return await asyncio.shield(self._drain_task)

    def drain_status(self) -> DrainStatus | None:
        """How far the drain is; None before one has begun."""
        draining = None if self._parts is None else self._parts.dispatch.notes.draining
        return None if draining is None else draining.drain.status()

    def drain_detail(self, limit: int) -> DrainDetail | None:
        """Who is left of the drain, at most so many, and how the others answered."""
        draining = None if self._parts is None else self._parts.dispatch.notes.draining
        return None if draining is None else draining.detail(limit)

    def reload(self, config: Config) -> Changes:
        """Takes over what can be changed while running.

        Returns:
            The settings that differ: those that are in force now, those that wait for a restart.

        Raises:
            ConfigError: a token file cannot be read; nothing has changed then.
            ValueError: the core does not take a setting; nothing has changed then.
        """
        return self._settings.reload(config, self._running, self.tls, self._own_token)

    def reload_failed(self) -> None:
        """Counts, as `reload` does for itself, that settings could not be read anew."""
        self._settings.failed_reloads_total += 1

    def core_stats(self) -> dict[str, int]:
        """Counters (names ending in `_total`) and gauges, the core's and ours."""
        failed = self._settings.failed_reloads_total
        return {**stats(self._running), "reload_failures_total": failed}

    def store_health(self) -> StoreHealth:
        """Whether what is kept gets to where it outlives the process."""
        return self._store.health()

    @property
    def loop_lag(self) -> LoopLag:
        """How late the event loop is with what is due."""
        return self._running.loop_lag

    @property
    def _running(self) -> Parts:
        return running(self._parts)

    def _wall(self) -> float:
        """Unix seconds; tests have clocks of their own."""
        return wall()

    @property
    def _serving(self) -> "ServingState | None":
        return None if self._parts is None else self._parts.live.serving

    async def _run_drain(self, draining: Draining) -> DrainReport:
        try:
            report = await draining.run()
            self._exit_code = report.exit_code
        except Exception:
            _log.exception("drain_failed")
            self._exit_code = 1
            raise
        finally:
            self._finished.set()
        return report
