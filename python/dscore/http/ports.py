"""What the pages need of a server, and nothing more.

`dscore.Server` fits `Server`; so does a handful of lines in a test. Times are Unix seconds,
durations seconds, unless a name says otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dscore.facets import Facets
from dscore.filters import Filter
from dscore.history import Sample, Span
from dscore.messages import Dialect, Intent
from dscore.policy.agent import Termination
from dscore.policy.drain import DrainDetail, DrainReport, DrainStatus
from dscore.states import State
from dscore.store import Entry, StoreHealth


class AgentView(Protocol):
    """One agent as the operator API shows it."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def reason_code(self) -> str | None: ...
    @property
    def ip(self) -> str | None: ...
    @property
    def dialect(self) -> str: ...
    @property
    def connected(self) -> bool: ...
    @property
    def connected_at(self) -> float | None: ...
    @property
    def since(self) -> float: ...
    @property
    def last_heartbeat(self) -> float | None: ...
    @property
    def config(self) -> Mapping[str, Any] | None: ...
    @property
    def undelivered(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def rtt(self) -> float | None: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


class LagView(Protocol):
    """How late the loop was when it was measured."""

    @property
    def last(self) -> float: ...
    @property
    def sum(self) -> float: ...
    def buckets(self) -> Sequence[tuple[float, int]]: ...


class TlsView(Protocol):
    """The certificates of the server: where each lies, and when it ends."""

    def certificates(self) -> Sequence[tuple[str, int]]: ...


class DisconnectView(Protocol):
    """How a connection ended, in words that no peer can choose."""

    @property
    def reason(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def initiator(self) -> str: ...


class CountsView(Protocol):
    """Connections, in one consistent reading: total = authenticated + unauthenticated."""

    @property
    def total(self) -> int: ...
    @property
    def authenticated(self) -> int: ...
    @property
    def unauthenticated(self) -> int: ...


class Fleet(Protocol):
    """The agents of a server as the pages see them."""

    def counts(self) -> CountsView: ...
    def dialects(self) -> Mapping[Dialect, int]: ...
    def connected_ids(self) -> Sequence[str]: ...
    def page(
        self,
        filter: Filter,
        /,
        *,
        sort: str,
        limit: int,
        after: tuple[str | float, str] | None,
        offset: int,
    ) -> tuple[Sequence[AgentView], bool, int]:
        """Agents that fit, in order; whether there are more; how many fit in all.

        Args:
            sort: a leading - turns the order round.
            after: only agents behind this one: what it was sorted by, and its id.
            offset: so many are left out at first.
        """

    async def read_page(
        self,
        filter: Filter,
        /,
        *,
        sort: str,
        limit: int,
        after: tuple[str | float, str] | None,
        offset: int,
    ) -> tuple[Sequence[AgentView], bool, int]:
        """The same; of a large fleet in steps."""

    async def read_facets(self, filter: Filter, /) -> Facets: ...
    def history(self, span: Span, after: int = 0, /) -> Sequence[Sample]: ...

    def states(self) -> Mapping[State, int]:
        """How many agents are known in each state."""

    def agent(self, agent_id: str, /) -> AgentView | None: ...
    async def timeline(
        self, agent_id: str, /, *, limit: int, before: int | None = None
    ) -> tuple[Sequence[Entry], int | None]: ...
    def disconnects(self) -> Sequence[tuple[DisconnectView, int]]: ...
    async def send_kept(self, agent_id: str, message: bytes, /) -> bool: ...
    async def refresh(self, agent_ids: Sequence[str] | None = None, /) -> None: ...
    async def terminate(self, agent_id: str, /, *, timeout: float | None = None) -> Termination: ...
    async def remove(self, agent_id: str, /) -> None: ...


class Server(Protocol):
    """The server as the pages see it. Everything is read on the event loop's thread."""

    @property
    def fleet(self) -> Fleet: ...
    @property
    def uptime(self) -> float: ...
    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def is_started(self) -> bool: ...
    @property
    def is_ready(self) -> bool: ...
    def why_full(self) -> str | None: ...
    @property
    def is_draining(self) -> bool: ...
    @property
    def maintenance(self) -> bool: ...
    def set_maintenance(self, *, enabled: bool) -> None: ...
    def core_stats(self) -> Mapping[str, int]: ...
    def store_health(self) -> StoreHealth: ...
    @property
    def loop_lag(self) -> LagView: ...
    @property
    def tls(self) -> TlsView: ...
    async def drain(
        self, *, intent: Intent | None = None, timeout: float | None = None
    ) -> DrainReport: ...
    def drain_status(self) -> DrainStatus | None: ...
    def drain_detail(self, limit: int, /) -> DrainDetail | None:
        """Who is left of the drain, at most so many; None while there is none."""
