"""What is said after the introduction, as far as the core leaves it to us."""

from typing import TYPE_CHECKING, Any

from dscore.log import get_logger
from dscore.messages import (
    AppReady,
    ClientStatusRequest,
    Refusal,
    ServerStatusResponse,
    Watch,
    parse,
    parse_object,
    timestamp,
)
from dscore.policy.admission import Reaction, react
from dscore.registry import AgentRecord
from dscore.server.context import Context
from dscore.server.introductions import Introductions
from dscore.server.watchers import Watchers
from dscore.server.welcome import Welcome
from dscore.texts import text

if TYPE_CHECKING:
    from dscore._core import Message

_log = get_logger("dscore.server")


class Conversations:
    """Does what `policy.admission` says a message asks for."""

    def __init__(
        self, context: Context, introductions: Introductions, welcome: Welcome, watchers: Watchers
    ) -> None:
        self._context = context
        self._introductions = introductions
        self._welcome = welcome
        self._watchers = watchers

    def message(self, event: "Message", now: int) -> None:
        """Any other message that is not the core's."""
        registry, conn, kind = self._context.registry, event.conn, event.kind
        if conn in registry.newcomers:
            record, reaction = None, react("newcomer", kind)
        elif type(who := registry.introduced.get(conn)) is AgentRecord:
            if who.conn != conn:
                return  # it was taken over, or is being closed: what it says counts no more
            record, reaction = who, react("agent", kind)
        else:
            record, reaction = None, react("watcher", kind)
        try:
            self._obey(reaction, conn, record, kind, event.data, now)
        except Refusal as refusal:
            code, why = refusal.code, refusal.message
            self._context.pool.refuse(conn, code, why, refusal.request_type)

    def _obey(
        self,
        reaction: Reaction,
        conn: int,
        record: AgentRecord | None,
        kind: str,
        data: bytes,
        now: int,
    ) -> None:
        match reaction:
            case "acknowledge" | "welcome_back":
                assert record is not None
                said = parse(kind, data)
                if getattr(said, "agent_id", None) != record.agent_id:
                    raise Refusal("wrong_id", f"this connection is {record.agent_id!r}", kind)
                if isinstance(said, AppReady):
                    self._welcome.again(record, said, now)
                else:
                    self._watchers.reconnected(record, now)
            case "watch":
                watch = parse(kind, data)
                assert isinstance(watch, Watch)
                who = self._context.registry.introduced.get(conn)
                self._introductions.judge(conn, watch, kind, who.ip if who else "", None, now)
            case "unwatch":
                self._context.registry.watchers.pop(conn, None)
            case "answer":
                request = parse(kind, data)
                assert isinstance(request, ClientStatusRequest)
                self._answer_status(conn, request.agent_id, now)
            case "ignore":
                assert record is not None
                self._unmatched(record, kind, data, now)
            case "hand_over":
                assert record is not None
                if self._context.hooks.on_message is not None:
                    self._hand_over(record, kind, parse_object(data, kind))
            case "not_introduced":
                raise Refusal("not_introduced", "introduce an agent first", kind)
            case "wrong_id":
                raise Refusal("wrong_id", "this connection is a watcher", kind)
            case "introduce":
                raise RuntimeError(f"the core hands over {kind} of a newcomer as an introduction")

    def _unmatched(self, record: AgentRecord, kind: str, data: bytes, now: int) -> None:
        message = parse_object(data, kind)
        if not self._context.chatter.allows(record.conn, now):
            return
        # Counted by the core. A request id of ours has 36 characters; a peer's may have a million.
        _log.warning(
            "unmatched_answer",
            agent_id=record.agent_id,
            conn_id=record.conn,
            kind=kind,
            request_id=str(message.get("request_id"))[:36],
        )

    def _hand_over(self, record: AgentRecord, kind: str, message: dict[str, Any]) -> None:
        context, conn = self._context, record.conn
        if not context.hooks.message(conn, context.agent(record), kind, message):
            _log.warning("agent_too_fast", agent_id=record.agent_id, conn_id=conn)
            context.pool.close_connection(conn, 1008, "too many messages")

    def _answer_status(self, conn: int, agent_id: str, now: int) -> None:
        context = self._context
        language = context.config.log.language
        moment = timestamp(context.unix(now))
        record = context.registry.agents.get(agent_id)
        if record is None:
            sentence = text(language, "unknown_client", client=agent_id)
            answer = ServerStatusResponse("error", moment, sentence)
        else:
            draining = context.gate == "draining"
            answer = ServerStatusResponse(
                "shutting_down" if draining else "online",
                moment,
                text(language, "server_shutting_down" if draining else "server_running"),
                client_status=record.status,
                server_uptime=round(context.server.uptime, 3),
            )
        context.pool.send(conn, answer.dump())
