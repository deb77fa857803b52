"""The shapes of the operator API, in and out: what /api/v1/openapi.json describes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dscore.http.health import StorageHealth
from dscore.http.strict import Wish
from dscore.messages import Intent, ReasonCode, Status
from dscore.policy.drain import MAX_TIMEOUT
from dscore.states import OutcomeName, State


class AgentSummary(BaseModel):
    """An agent in a list."""

    id: str
    status: Status
    state: str
    reason_code: str | None = Field(description="Why it is offline.")
    connected: bool
    dialect: str
    ip: str | None
    connected_at: str | None
    since: str = Field(description="When its state became what it is.")
    last_heartbeat: str | None
    rtt_ms: float | None = Field(description="The last ping and its pong.")
    labels: dict[str, str] = Field(description="`labels` in the config of its app_ready.")


class AgentDetail(AgentSummary):
    """One agent, with the `config` of its app_ready and its outbox."""

    config: dict[str, Any] | None = Field(description="Without what is secret: see log.redact.")
    undelivered: int = Field(description="Messages that wait for it.")
    dropped: int = Field(description="Messages that had to be dropped in this session.")


class AgentPage(BaseModel):
    """One page of agents."""

    items: list[AgentSummary]
    next_cursor: str | None = Field(description="Gets the next page; null on the last one.")
    total: int = Field(description="All agents that fit.")


class History(BaseModel):
    """The fleet over time: columns of equal length, oldest first."""

    at: list[int] = Field(description="Unix milliseconds.")
    states: dict[State, list[int]] = Field(description="Agents in each state.")
    connects: list[int] = Field(description="Introductions since the one before.")
    disconnects: list[int] = Field(description="Connections of agents that ended since.")


class LabelValue(BaseModel):
    """A value of a label, and its agents by state."""

    value: str
    states: dict[State, int]


class LabelFacet(BaseModel):
    """A label: its values, those of most agents first."""

    name: str
    values: list[LabelValue]
    more: int = Field(description="Values that are not told.")


class FacetsDocument(BaseModel):
    """How many agents there are of each kind; what there is none of is left out."""

    total: int
    states: dict[State, int]
    reasons: dict[ReasonCode, int] = Field(description="Of those offline.")
    labels: list[LabelFacet]


class TimelineEntry(BaseModel):
    """Something that happened to an agent, or to the server meanwhile."""

    number: int
    at: str
    kind: str
    text: str = Field(description="The same in words.")
    data: dict[str, Any]


class Timeline(BaseModel):
    """What happened to one agent, newest first."""

    agent: AgentSummary
    sentence: str | None = Field(
        description="Why the agent is what it is; null on all pages but the first."
    )
    items: list[TimelineEntry]
    next_cursor: str | None


class AuditLine(BaseModel):
    """One use of the API's power, or a client certificate that was refused."""

    number: int
    at: str
    who: str | None = Field(
        description="What the log calls the token: its file and line, or jwt:SUBJECT. Null: it was "
        "none, so the request was refused."
    )
    ip: str
    port: int
    certificate_names: list[str] | None = Field(
        None, description="The names in the client's certificate, if it showed one."
    )
    reason: str | None = Field(
        None, description="`certificate`: a client certificate was refused; there is no request."
    )
    cause: str | None = Field(None, description="Why it was: `expired`, `unknown_ca`, ….")
    certificate_issuer: str | None = None
    certificate_serial: str | None = Field(None, description="Hexadecimal.")
    certificate_not_before: str | None = None
    certificate_not_after: str | None = None
    proxy: str | None = Field(None, description="The trusted proxy that named the address.")
    forwarded: str | None = Field(None, description="What a proxy said that is not trusted.")
    method: str | None = None
    path: str | None = None
    agent_id: str | None = None
    parameters: dict[str, Any] | None = None
    status: int | None = Field(
        description="HTTP's; null: the request was given up before it was answered, or there was "
        "none."
    )


class AuditPage(BaseModel):
    """Lines of the audit, newest first."""

    items: list[AuditLine]
    next_cursor: str | None


class TerminateRequest(Wish):
    """How to terminate one agent."""

    timeout: float | None = Field(
        None, gt=0, le=MAX_TIMEOUT, description="Seconds to wait; default shutdown.timeout."
    )


class TerminateResult(BaseModel):
    """How it ended. Every outcome is a 200: only `acked` closed the connection."""

    outcome: OutcomeName
    request_id: str
    latency_ms: float
    complete: bool | None = Field(
        description="False: it stopped as asked, but a stream did not reach its end. Null: it has "
        "not said that it stopped."
    )
    message: str = Field(description="The agent's last word, or why it could not be asked.")


class AgentMessage(BaseModel):
    """A message for an agent: any object with a string `type`."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str = Field(min_length=1)


class Delivery(BaseModel):
    """Whether the message was handed to the agent's socket; false: the agent is away, and it waits
    in its outbox, on the disk (in memory where the store is)."""

    delivered: bool


class DrainRequest(Wish):
    """How to drain."""

    intent: Intent | None = Field(None, description="Default: shutdown.intent.")
    timeout: float | None = Field(
        None, gt=0, le=MAX_TIMEOUT, description="Seconds for each agent; default shutdown.timeout."
    )


class DrainLeft(BaseModel):
    """An agent that a drain waits for."""

    id: str
    deadline: str | None = Field(description="Null: it is not asked to stop.")
    stage: str | None = Field(description="What it says that it is at (termination_progress).")


class DrainDocument(BaseModel):
    """A drain, running or done; state "idle" and zeros while there is none."""

    state: str
    intent: Intent | None
    started_at: str | None
    total: int
    acked: int
    failed: int
    timed_out: int
    vanished: int
    notified: int
    incomplete: int = Field(description="Of the acked: a stream did not reach its end.")
    pending: int
    latency_ms: dict[str, float | None] = Field(description="p50, p99 and max of the acks so far.")
    left: list[DrainLeft] = Field(description="Agents that are waited for; the first 1,000.")
    left_total: int
    not_acked: list[str] = Field(
        description="Agents that were asked and did not say OK, so far; the first 1,000."
    )
    report: dict[str, Any] | None = Field(description="The drain report, once it has ended.")


class Maintenance(Wish):
    """Whether new connections are turned away for now."""

    enabled: bool


class ConnectionCounts(BaseModel):
    """WebSocket connections, in one consistent reading."""

    total: int
    authenticated: int
    unauthenticated: int


class AgentCounts(BaseModel):
    """Agents known, whether connected or not."""

    total: int
    online: int
    offline: int
    states: dict[str, int]
    dialects: dict[str, int] = Field(description="Those that are connected.")


class StatusDocument(BaseModel):
    """The server at a glance."""

    status: Literal["ok", "starting", "maintenance", "shutting_down"]
    version: str
    pid: int
    address: str
    page: str = Field(description="Path of the fleet page.")
    uptime: float
    connections: ConnectionCounts
    agents: AgentCounts
    store: StorageHealth
    loop_lag_ms: float = Field(description="How late the Python loop was when last measured.")
    core: dict[str, int] = Field(description="Counters and gauges of the reactors.")
