"""Attempts and connections of one agent, from the first one to the last.

`live` knows when to reconnect (`reconnect`), what forbids an attempt (health, an id that is in use,
credentials that were refused) and how a connection ended. Messages are the conversation's, the
application is the agent's.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from dscore_agent.config import AgentConfig
from dscore_agent.conversation import Conversation
from dscore_agent.gateway import Gateway
from dscore_agent.health import Health, HealthCheck
from dscore_agent.log import Log
from dscore_agent.reconnect import Reconnector, Row, row_of
from dscore_agent.status import State
from dscore_agent.wire import CLOSE_SECONDS, CloseInfo, ConnectError, Connection

CREDENTIALS_POLL = 10.0
"""Seconds between two looks at credentials that the server has refused."""

_log = Log("dscore.agent")


class Owner(Protocol):
    """The agent above the link."""

    @property
    def is_terminating(self) -> bool:
        """The application is being stopped: no connection is made any more."""

    def enter(self, state: State) -> None:
        """The link is in another state."""

    def flush(self) -> None:
        """The connection takes messages again."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs beside the link; a fault in it ends the agent."""

    def set_server_leaving(self, *, leaving: bool) -> None:
        """The server shuts down, or does not any more."""


class Link:
    """Holds one connection at a time.

    Attributes:
        connection: The one that is open; None: there is none.
        retry_in: The wait that was chosen when it last began to wait, in seconds; None: no wait.
        last_close: How the last connection ended.
        health: What the health page last said.
    """

    def __init__(
        self,
        config: AgentConfig,
        gateway: Gateway,
        conversation: Conversation,
        owner: Owner,
        random: Callable[[], float],
    ) -> None:
        """Connects to nothing yet.

        Args:
            config: The settings.
            gateway: The way to the server.
            conversation: What is said on a connection.
            owner: The agent.
            random: Gives the numbers in [0, 1) that spread the waits of a fleet.
        """
        self._config = config
        self._gateway = gateway
        self._conversation = conversation
        self._owner = owner
        self._random = random
        self._reconnector = Reconnector(config.reconnect, random)
        self._was_known = False
        self._is_contested = False
        """Another agent took over this agent id, and may be connected still."""
        self.connection: Connection | None = None
        self.retry_in: float | None = None
        self.close_reason = "agent stopped"
        """What the server is told when this end closes the connection."""
        self.last_close = CloseInfo(0, "")
        self.health = Health.UNKNOWN

    @property
    def attempts(self) -> int:
        """Attempts made since the last connection that held."""
        return self._reconnector.attempts

    def acknowledged(self) -> None:
        """The server has accepted the introduction."""
        self._was_known, self._is_contested = True, False

    def hinted(self, seconds: float) -> None:
        """The server said how long to stay away after the close."""
        self._reconnector.hinted(seconds)

    async def live(self) -> None:
        """Connects, and comes back, until the server wants no more of it."""
        self._reconnector.begin()
        while (wait := await self._attempt()) is not None:
            if self._owner.is_terminating:
                return  # It ends the agent; there is nothing left to come back for.
            _log.info("waiting", seconds=round(wait, 3), attempt=self._reconnector.attempt)
            self.retry_in = wait
            self._owner.enter(State.WAITING)
            await self._rest(wait)
            self.retry_in = None
            if self._owner.is_terminating:
                return
            self._reconnector.due()

    async def _rest(self, wait: float) -> None:
        """Waits; less long where the credentials that were refused are replaced meanwhile."""
        if row_of(*self.last_close) is not Row.UNAUTHENTICATED:
            await asyncio.sleep(wait)
            return
        due = time.monotonic() + wait
        while (left := due - time.monotonic()) > 0:
            await asyncio.sleep(min(left, CREDENTIALS_POLL))
            if await self._gateway.renew():
                _log.info("credentials_renewed", agent_id=self._config.instance_id)
                due = min(due, time.monotonic() + self._reconnector.renewed())

    async def _attempt(self) -> float | None:
        """One attempt, and the connection that comes of it.

        Returns:
            Seconds to wait before the next one; None: there shall be none.
        """
        self._owner.enter(State.CONNECTING)
        await self._gateway.renew()
        if (wait := await self._wait_of_health()) is not None:
            return wait
        try:
            connection = await self._gateway.connect(self._conversation.receive, self._owner.flush)
        except ConnectError as error:
            _log.warning("connection_failed", url=self._config.url, reason=str(error))
            return self._reconnector.refused(retry_after=error.retry_after)
        now = time.monotonic()
        self._reconnector.opened(now)
        closed = await self._converse(connection)
        lived = time.monotonic() - now
        _log.info(
            "disconnected", close_code=closed.code, reason=closed.reason, lived=round(lived, 3)
        )
        if closed.code in (1001, 1013):
            self._owner.set_server_leaving(leaving=True)
        wait = self._reconnector.closed(closed.code, closed.reason, now + lived)
        self._warn_of_identity(row_of(*closed), wait)
        return wait

    async def _wait_of_health(self) -> float | None:
        """What the health page makes of an attempt: seconds until the next one; None: go on."""
        name = self._config.instance_id
        # After a takeover it is asked even where the settings ask nothing else of it.
        if not (self._config.health_check_enabled or self._is_contested):
            return None
        check = await self._check_health(about=name if self._is_contested else None)
        if self._is_contested and check.is_connected:
            _log.warning("id_in_use", agent_id=name, reason="another agent is connected by this id")
            return self._reconnector.refused(Row.TAKEN_OVER)
        if check.health is Health.OK or not self._config.health_check_enabled:
            return None
        url, word = self._config.health_url, check.health.value
        _log.warning("server_not_ready", url=url, health=word, reason=check.reason)
        leaving = check.health is Health.SHUTTING_DOWN
        row = Row.SHUTTING_DOWN if leaving else Row.OTHER
        return self._reconnector.refused(row, retry_after=check.retry_after)

    def _warn_of_identity(self, row: Row, wait: float | None) -> None:
        # The application works on: an id in use or a refused token stops no pipeline.
        name, retry_in = self._config.instance_id, wait and round(wait, 3)
        if row is Row.TAKEN_OVER:
            self._is_contested = True
            remedy = "give each agent an instance_id of its own"
            _log.warning("taken_over", agent_id=name, retry_in=retry_in, remedy=remedy)
        elif row is Row.UNAUTHENTICATED:
            remedy = self._remedy_of_token()
            _log.warning("authentication_failed", agent_id=name, retry_in=retry_in, remedy=remedy)

    def _remedy_of_token(self) -> str:
        # Whether it was the token or the certificate the server keeps to itself.
        certificate = ", and into cert_file a certificate that names this agent"
        besides = certificate if self._config.cert_file is not None else ""
        if self._config.token_file is not None:
            anew = "both are" if besides else "it is"
            return f"put a token that the server knows into token_file{besides}; {anew} read anew"
        return f"set token_file, or token, to a token that the server knows{besides}"

    async def _converse(self, connection: Connection) -> CloseInfo:
        """Runs the conversation on a connection until it has ended."""
        self.connection = connection
        self._owner.enter(State.INTRODUCING)
        watch = self._owner.spawn(self._watch_health())
        try:
            self._conversation.begin(
                connection,
                token=self._gateway.token,
                reconnection=self._was_known,
                last_close_code=self.last_close.code,
            )
            await asyncio.wait({connection.ended})
        finally:
            self._conversation.end()
            watch.cancel()
            # On every way out but the usual one it is open still.
            connection.close(1001, self.close_reason)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({connection.ended}, timeout=CLOSE_SECONDS)
            connection.abort("closed")
            self.connection = None
        self.last_close = await connection.ended
        return self.last_close

    async def _watch_health(self) -> None:
        """Notices a shutdown even where no message about it comes."""
        if not self._config.health_check_enabled:
            return
        # Agents that connected in one second must not send their health checks in one second.
        await asyncio.sleep(self._config.health_check_interval * self._random())
        while True:
            await self._check_health()
            await asyncio.sleep(self._config.health_check_interval)

    async def _check_health(self, *, about: str | None = None) -> HealthCheck:
        check = await self._gateway.check_health(about=about)
        self.health = check.health
        if self.health in (Health.OK, Health.SHUTTING_DOWN):
            self._owner.set_server_leaving(leaving=self.health is Health.SHUTTING_DOWN)
        return check
