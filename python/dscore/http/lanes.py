"""Which requests run, and how many at a time.

All that Python does runs on the loop's thread, and what is ready in one of its turns runs in that
turn: three thousand lists at once would be half a minute in which no agent and no probe is heard.
So requests are started a few a turn, and each kind has a lane of its own, with bounds of its own:
so many run, so many wait in the order they came, and what comes past that is 503 with Retry-After.
Probes have no lane: they are answered at once, always.

All methods are called on the event loop's thread.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from dscore.http.access import API, DRAIN, HEALTH, METRICS, OPENAPI, OPENAPI_ALIAS, PROBES
from dscore.http.targets import path_of
from dscore.http.types import Request

STARTS = 4
"""Requests started in one turn of the loop. The dearest, a page of the list of a large fleet, takes
some 10 ms."""
MAX_BYTES = 64 * 1024 * 1024
"""Of all requests that run or wait, bodies and heads; one alone may be larger."""
UPLOADS = 512
"""Requests for a program's app that run while their bodies come."""
PAUSED = 4096
"""Those of them that only wait for their clients, and take no place: else some hundred clients that
take their time would keep all others out."""
UPGRADES = 256
"""WebSockets that a program's app is asked about at a time."""
HEAD_COST = 2048
"""What a request costs beside its body."""


@dataclass(slots=True)
class Lane:
    """Requests of one kind."""

    max_running: int
    max_waiting: int
    running: int = 0
    waiting: dict[int, Request] = field(default_factory=dict)
    """By connection, which has one request at a time; the first came first."""

    @property
    def may_start(self) -> bool:
        return self.running < self.max_running


@dataclass(slots=True)
class Counts:
    """Of all lanes."""

    running: int
    waiting: int
    refused_total: int


class Lanes:
    """Starts requests in their turn.

    Args:
        start: runs a request; `ended` is to be called when it is answered, or over.
        refuse: answers a request for which there is no room.
        is_ours: whether a path, as it was sent, is one of dscore's: a program's app may have paths
            of its own below the API's.
    """

    def __init__(
        self,
        start: Callable[[Request], None],
        refuse: Callable[[Request], None],
        is_ours: Callable[[str], bool],
    ) -> None:
        self._start = start
        self._is_ours = is_ours
        self._refuse = refuse
        self._lanes: Final = {
            # A drain's status may be waited for: that takes a place, and no time.
            "drain": Lane(256, 256),
            "operator": Lane(128, 256),
            # A fleet that reconnects asks for it before each attempt.
            "health": Lane(8, 2048),
            "metrics": Lane(2, 64),
            "lists": Lane(4, 256),
            # What a program's own app does with its requests, streams among them, is its business.
            "app": Lane(512, 1024),
            # Of it, requests whose bodies are coming: clients that take their time over that take
            # no place from others.
            "uploads": Lane(UPLOADS, 1024),
            # WebSockets of it that are not accepted yet.
            "upgrades": Lane(UPGRADES, 1024),
        }
        self._running: dict[int, tuple[Request, Lane]] = {}
        """By connection."""
        self._paused: set[int] = set()
        """Connections of those that wait for their clients."""
        self._bytes = 0
        self._started = 0
        """In this turn of the loop."""
        self._turn: asyncio.Handle | None = None
        self._refused_total = 0

    def submit(self, request: Request) -> None:
        """Starts a request now or in its turn, or refuses it."""
        name = lane_of(request.method, request.target, self._is_ours)
        if name is None:
            self._start(request)
            return
        if name == "app":
            name = _lane_of_app(request)
        lane = self._lanes[name]
        cost = _cost(request)
        is_too_much = self._bytes > 0 and self._bytes + cost > MAX_BYTES
        if is_too_much or len(lane.waiting) >= lane.max_waiting:
            self._refused_total += 1
            self._refuse(request)
            return
        self._bytes += cost
        lane.waiting[request.conn] = request
        if self._started < STARTS and lane.may_start and len(lane.waiting) == 1:
            self._start_next(lane)
        self._schedule()

    def ended(self, request: Request) -> None:
        """A request that was started is answered, or over; told again it changes nothing."""
        running, lane = self._running.get(request.conn, (None, None))
        # Its connection may have the next one by now.
        if running is request and lane is not None:
            del self._running[request.conn]
            self._bytes -= _cost(request)
            if request.conn in self._paused:
                self._paused.discard(request.conn)
            else:
                lane.running -= 1
            self._schedule()

    def waits(self, request: Request, is_waited_for: bool) -> None:
        """A request that runs waits for the next part of its body, which takes no time; or that has
        come, and it runs on at once, though all places are taken."""
        running, lane = self._running.get(request.conn, (None, None))
        if running is not request or lane is None:
            return
        if is_waited_for and len(self._paused) < PAUSED:
            self._paused.add(request.conn)
            lane.running -= 1
            self._schedule()
        elif not is_waited_for and request.conn in self._paused:
            self._paused.discard(request.conn)
            lane.running += 1

    def left(self, conn: int) -> None:
        """A client has left: what it asked is not started any more. What is started goes on."""
        for lane in self._all:
            request = lane.waiting.pop(conn, None)
            if request is not None:
                self._bytes -= _cost(request)

    def refuse_waiting(self) -> None:
        """Nothing that waits will be started any more."""
        for request in list(chain.from_iterable(lane.waiting.values() for lane in self._all)):
            self.left(request.conn)
            self._refuse(request)

    def counts(self) -> Counts:
        return Counts(
            len(self._running),
            sum(len(lane.waiting) for lane in self._all),
            self._refused_total,
        )

    @property
    def _all(self) -> list[Lane]:
        return list(self._lanes.values())

    def _start_next(self, lane: Lane) -> None:
        conn = next(iter(lane.waiting))
        request = lane.waiting.pop(conn)
        self._started += 1
        lane.running += 1
        self._running[conn] = request, lane
        self._start(request)

    def _schedule(self) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        """Starts what waits, one of each lane, then another of each."""
        self._turn = None
        self._started = 0
        ready = [lane for lane in self._all if lane.waiting and lane.may_start]
        while ready:
            for lane in ready:
                if self._started == STARTS:
                    self._schedule()
                    return
                self._start_next(lane)
            ready = [lane for lane in ready if lane.waiting and lane.may_start]


def _cost(request: Request) -> int:
    return HEAD_COST + len(request.body)


def _lane_of_app(request: Request) -> str:
    if request.subprotocols is not None:
        return "upgrades"
    return "uploads" if request.more else "app"


def lane_of(method: str, target: str, is_ours: Callable[[str], bool]) -> str | None:
    """The lane of a request; None for a probe, which waits for nothing."""
    path = path_of(target)
    if path in PROBES:
        return None
    if path == DRAIN:
        return "drain"
    if path == HEALTH:
        return "health"
    if path == METRICS:
        return "metrics"
    if not is_ours(path):
        return "app"
    if path in (OPENAPI, OPENAPI_ALIAS):
        return "lists"
    if not path.startswith(f"{API}/"):
        return "app"
    # What looks at all agents does so in steps, and each that runs has one in a turn of the loop.
    is_list = path in (f"{API}/agents", f"{API}/facets") or path.endswith("/events")
    return "lists" if is_list and method in ("GET", "HEAD") else "operator"
