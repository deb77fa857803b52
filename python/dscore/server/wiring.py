"""What a running server is made of: put together, and taken apart in the right order."""

import asyncio
import weakref
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from dscore import signals
from dscore.auth import has_operators
from dscore.server.acks import Acks
from dscore.server.admission.acceptance import Acceptance
from dscore.server.admission.authenticator import Authenticator
from dscore.server.admission.connects import Connects
from dscore.server.admission.judge import Judge
from dscore.server.dispatch import Dispatch
from dscore.server.fullness import Fullness
from dscore.server.live import Live
from dscore.server.loop import Loop
from dscore.server.loop_lag import LoopLag
from dscore.server.messages import Messages
from dscore.server.outgoing import Outgoing
from dscore.server.sampler import Sampler
from dscore.server.terminations import Terminations
from dscore.server.timers import Timers
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore.http.access import Access
    from dscore.http.asgi import App, Bridge
    from dscore.http.ports import Server as PagesServer
    from dscore.http.rules import Rules
    from dscore.store import Minute


GRACE = 1.0
"""Seconds that requests, and hooks, have at least after everything else has ended: what waits for
the end of a drain still has to answer."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a server itself speaks to."""

    live: Live
    pages: "Access"
    bridge: "Bridge"
    dispatch: Dispatch
    terminations: Terminations
    acks: Acks
    outgoing: Outgoing
    timers: Timers
    watchers: Watchers
    loop: Loop
    loop_lag: LoopLag
    sampler: Sampler
    fullness: Fullness

    def start(self, history: "tuple[Minute, ...]") -> None:
        """Begins to judge and to sample, and lets agents in.

        Args:
            history: what an earlier process has left.
        """
        live = self.live
        self.timers.start(live.pool.now_ms())
        self.sampler.start(history)
        live.clock.start()
        with signals.blocked():
            live.pool.start()
        self.fullness.start()

    async def stop(self) -> None:
        """Lets what is in progress end, and closes everything, the pool last."""
        live = self.live
        now, last = live.pool.now_ms, live.deadline.last
        try:
            await self.bridge.drain_requests(last(self._grace(), now()))
            lifespan = live.config.shutdown.lifespan_timeout
            await self.bridge.shutdown(last(lifespan, now()))
            await live.tasks.close(last(self._grace(), now()), live.clock.wait)
            self.sampler.close()
            await live.store.close()
        finally:
            self.sampler.close()
            self.loop_lag.close()
            self.fullness.close()
            live.clock.close()
            self.timers.close()
            self.watchers.close()
            self.loop.close()
            self.acks.close()
            live.wrong_tokens.close()
            live.pool.close()
            # A closed pool keeps a descriptor for what was not taken of it.
            while live.pool.take():
                pass

    def _grace(self) -> float:
        """Seconds that what is in progress still has."""
        live = self.live
        left = live.config.shutdown.request_timeout - live.seconds_since_stopping()
        return max(GRACE, left)


def running(parts: Parts | None) -> Parts:
    """The parts of a server that was started.

    Raises:
        RuntimeError: it was not.
    """
    if parts is None:
        raise RuntimeError("the server is not started: `async with server:`, or start()")
    return parts


def assemble(live: Live, core: ModuleType, server: "PagesServer", app: "App | None") -> Parts:
    """Wires the parts of one server. Nothing happens before its pool is started.

    Args:
        server: what the pages show and change.
    """
    # Imported here: FastAPI costs more than all the rest, and only a running server needs it.
    from dscore.http.asgi import Bridge

    pages = _pages(live, server, app)
    bridge = Bridge(live.pool, pages, live.clock.wait, pages.is_ours)
    watchers = Watchers(live)
    terminations, acks = Terminations(), Acks(live.clock)
    loop = asyncio.get_running_loop()
    acceptance = Acceptance(live, watchers)
    authenticator = Authenticator(live)
    judge = Judge(live, authenticator, acceptance)
    dispatch = Dispatch(
        live,
        core,
        judge=judge,
        messages=Messages(live, judge, acceptance, watchers),
        connects=Connects(live, authenticator, watchers),
        terminations=terminations,
        acks=acks,
        watchers=watchers,
        acceptance=acceptance,
        bridge=bridge,
    )
    timers = Timers(live, dispatch, loop)
    urgent = (core.HttpRequest, core.BodyPart, core.HttpGone, core.Drained)
    return Parts(
        live=live,
        pages=pages,
        bridge=bridge,
        dispatch=dispatch,
        terminations=terminations,
        acks=acks,
        outgoing=Outgoing(live, watchers),
        timers=timers,
        watchers=watchers,
        loop=Loop(live, dispatch, timers, urgent),
        loop_lag=LoopLag(loop),
        sampler=Sampler(live, loop),
        fullness=Fullness(server.why_full, loop),
    )


def _pages(live: Live, server: "PagesServer", app: "App | None") -> "Access":
    from dscore.http.app import build_app

    return build_app(
        # They are a part of the server: what holds itself would wait for the garbage collector.
        weakref.proxy(server),
        rules=access_rules(live),
        wrong_tokens=live.wrong_tokens,
        trail=live.audit_trail,
        user_app=app,
        page_at=live.config.listen.page,
        draining_status=live.config.health.status_code_when_draining,
        cors_origins=live.config.socket.cors_origins,
        cors_methods=live.config.socket.cors_methods,
        names=live.config.listen.names,
        redact=live.config.log.redact,
    )


def access_rules(live: Live) -> "Rules":
    """Who may use the operator API, by the present settings."""
    from dscore.http.loopback import is_loopback
    from dscore.http.rules import Rules

    auth = live.config.auth
    return Rules(
        keyring=live.keyring,
        is_configured=has_operators(auth),
        is_required=auth.required,
        is_open=auth.local_operators == "open",
        # As asked for: with a port for TLS alone the plain one may be this machine's only.
        is_loopback=is_loopback(live.config.listen.host),
    )
