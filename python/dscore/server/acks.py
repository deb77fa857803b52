"""Requests to agents: an event with an id, and the wait for the ack that names it."""

import asyncio
from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson

from dscore.errors import (
    ConnectionLostError,
    NoAcksError,
    NotConnectedError,
    RequestError,
    RequestTimeoutError,
    TooManyRequestsError,
)
from dscore.messages import Refusal, attach, detach
from dscore.peer_json import loads

if TYPE_CHECKING:
    from dscore._core import AgentRow, ReactorPool, Reply
    from dscore.server.clock import Clock

TIMEOUT = 30.0
"""Seconds an agent has to ack, unless the caller says otherwise: what a connection_check gives."""
MAX_WAITING = 1000
"""Requests of one connection that may wait for their acks."""


class Acks:
    """Matches each ack to its caller. Every request ends: with the ack, in time, or with its
    connection."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._ids = count(1)
        self._waiting: dict[int, dict[int, tuple[str, str, asyncio.Future[Any]]]] = {}
        """Connection -> request id -> agent id, namespace, who waits."""
        self.unmatched_total = 0
        """Acks of requests that are unknown, or over."""

    async def request(
        self,
        pool: "ReactorPool",
        record: "AgentRow",
        event: str,
        argument: Any,
        *,
        namespace: str,
        timeout: float | None,
    ) -> Any:
        """Sends an event, and waits for its ack.

        Raises:
            NotConnectedError: the agent is away.
            RequestError: there is no ack, or none that can be read.
            ValueError: the argument is no JSON but for the bytes in it.
            TypeError: the event is no name: no client would ever ack it.
        """
        if not isinstance(event, str):
            raise TypeError(f"the event is its name, then comes its argument: not {event!r:.60}")
        conn, agent_id = record.conn, record.agent_id
        if not conn:
            raise NotConnectedError(agent_id)
        if record.dialect != "socketio":
            raise NoAcksError(agent_id)
        data, attachments = detach([event] if argument is None else [event, argument])
        requests = self._waiting.setdefault(conn, {})
        if len(requests) >= MAX_WAITING:
            raise TooManyRequestsError(agent_id)
        number = next(self._ids)
        answer = asyncio.get_running_loop().create_future()
        requests[number] = agent_id, namespace, answer
        try:
            pool.send_event(conn, data, namespace=namespace, id=number, attachments=attachments)
            return await self._clock.wait_for(answer, TIMEOUT if timeout is None else timeout)
        except asyncio.TimeoutError:
            raise RequestTimeoutError(agent_id) from None
        finally:
            requests.pop(number, None)
            if not requests:
                self._waiting.pop(conn, None)

    def reply(self, event: "Reply", now: int) -> None:
        requests = self._waiting.get(event.conn, {})
        agent_id, namespace, answer = requests.get(event.id, ("", None, None))
        if answer is None or answer.done() or event.namespace != namespace:
            self.unmatched_total += 1
            return
        try:
            answer.set_result(_argument(attach(loads(event.data), event.attachments)))
        except (orjson.JSONDecodeError, Refusal):
            answer.set_exception(RequestError(agent_id))

    def close(self) -> None:
        """The server stops: what has no ack by now gets none."""
        self.closed(self._waiting)

    def closed(self, conns: Iterable[int]) -> None:
        """Connections have ended. In a drain they are all there are, and mostly none is waited
        for."""
        if not self._waiting:
            return
        for conn in conns:
            for agent_id, _, answer in self._waiting.get(conn, {}).values():
                _lose(agent_id, answer)

    def left(self, conn: int, namespace: str) -> None:
        """A client has left a namespace: no ack comes from there."""
        for agent_id, asked_in, answer in self._waiting.get(conn, {}).values():
            if asked_in == namespace:
                _lose(agent_id, answer)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))


def _lose(agent_id: str, answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(ConnectionLostError(agent_id))


def _argument(arguments: list[Any]) -> Any:
    """What an ack says: nothing, one thing, or several."""
    if len(arguments) > 1:
        return arguments
    return arguments[0] if arguments else None
