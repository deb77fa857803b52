"""What is said after the introduction, as far as the core leaves it to us."""

from functools import partial
from typing import TYPE_CHECKING, Any

from dscore.log import get_logger
from dscore.messages import (
    AppReady,
    ClientStatusRequest,
    Refusal,
    ServerStatusResponse,
    Watch,
    attach,
    detach,
    parse,
    parse_object,
    timestamp,
)
from dscore.policy.admission import OWN_NAMESPACES, Reaction, react
from dscore.server.admission.acceptance import Acceptance
from dscore.server.admission.judge import Judge
from dscore.server.live import Live
from dscore.server.watchers import Watchers
from dscore.translations import text

if TYPE_CHECKING:
    from dscore._core import AgentRow, Message

_log = get_logger("dscore.server")


class Messages:
    """Does what `policy.admission` says a message asks for."""

    def __init__(
        self, live: Live, judge: Judge, acceptance: Acceptance, watchers: Watchers
    ) -> None:
        self._live = live
        self._judge = judge
        self._acceptance = acceptance
        self._watchers = watchers

    def message(self, event: "Message", now: int) -> None:
        """Any other message that is not the core's."""
        fleet, conn = self._live.fleet, event.conn
        kind, namespace = event.kind, event.namespace
        record = fleet.named_by(conn)
        if record is not None:
            if record.conn != conn:
                return  # it was taken over, or is being closed: what it says counts no more
            reaction = react("agent", kind, namespace)
        elif fleet.is_open(conn) and not fleet.is_introduced(conn):
            reaction = react("unauthenticated", kind, namespace)
        else:
            reaction = react("watcher", kind, namespace)
        try:
            if reaction == "deliver":
                assert record is not None
                self._deliver(event, record)
                return
            self._obey(reaction, event, record, now)
        except Refusal as refusal:
            code, why = refusal.code, refusal.message
            self._live.pool.refuse(conn, code, why, refusal.request_type or kind)
        if event.ack is not None:
            self._ack(event, None)

    def _obey(
        self, reaction: Reaction, event: "Message", record: "AgentRow | None", now: int
    ) -> None:
        conn, kind, data = event.conn, event.kind, event.data
        match reaction:
            case "acknowledge" | "welcome_back":
                assert record is not None
                said = parse(kind, data)
                if getattr(said, "agent_id", None) != record.agent_id:
                    raise Refusal("wrong_id", f"this connection is {record.agent_id!r}", kind)
                if isinstance(said, AppReady):
                    self._acceptance.again(record, said, now)
                else:
                    self._watchers.reconnected(record, now)
            case "watch":
                watch = parse(kind, data)
                assert isinstance(watch, Watch)
                fleet = self._live.fleet
                ip = record.ip if record is not None else fleet.ip(conn)
                self._judge.judge(conn, watch, kind, ip, now)
            case "unwatch":
                self._watchers.end(conn)
            case "answer":
                request = parse(kind, data)
                assert isinstance(request, ClientStatusRequest)
                self._answer_status(conn, request.agent_id, now)
            case "ignore":
                assert record is not None
                self._unmatched(record, kind, data, now)
            case "not_introduced":
                raise Refusal("not_introduced", "introduce an agent first", kind)
            case "wrong_id":
                raise Refusal("wrong_id", "this connection is a watcher", kind)
            case "introduce" | "deliver":
                raise RuntimeError(f"{kind} is no message of a conversation: {reaction}")

    def _unmatched(self, record: "AgentRow", kind: str, data: bytes, now: int) -> None:
        message = parse_object(data, kind)
        if not self._live.log_limit.allows(record.conn, now):
            return
        # Counted by the core. A request id of ours has 36 characters; a peer's may have a million.
        _log.warning(
            "unmatched_answer",
            agent_id=record.agent_id,
            conn_id=record.conn,
            kind=kind,
            request_id=str(message.get("request_id"))[:36],
        )

    def _deliver(self, event: "Message", record: "AgentRow") -> None:
        """To the policy, whose answer is the ack if one was asked for."""
        live, hooks = self._live, self._live.hooks
        kind, namespace = event.kind, event.namespace
        ack = None if event.ack is None else partial(self._ack, event)
        in_namespace = namespace not in OWN_NAMESPACES
        hook = hooks.on_namespace_message if in_namespace else hooks.on_message
        if hook is None:
            if ack is not None:
                ack(None)
            return
        message = attach(parse_object(event.data, kind), event.attachments)
        agent, conn = live.agent(record), record.conn
        args = (agent, namespace, kind, message) if in_namespace else (agent, kind, message)
        if not hooks.message(conn, hook, args, ack):
            _log.warning("agent_too_fast", agent_id=record.agent_id, conn_id=conn)
            live.pool.close_connection(conn, 1008, "too many messages")

    def _ack(self, event: "Message", answer: Any) -> None:
        """An event with an ack id is acked, whatever has become of the message."""
        assert event.ack is not None
        try:
            data, attachments = detach([] if answer is None else [answer])
        except ValueError as error:
            is_ours = event.namespace in OWN_NAMESPACES
            self._live.hooks.failed("on_message" if is_ours else "on_namespace_message", error)
            data, attachments = b"[]", []
        self._live.pool.send_ack(
            event.conn, event.ack, data, namespace=event.namespace, attachments=attachments
        )

    def _answer_status(self, conn: int, agent_id: str, now: int) -> None:
        live = self._live
        language = live.config.log.language
        moment = timestamp(live.unix(now))
        record = live.fleet.agent(agent_id)
        if live.config.auth.required and not live.fleet.is_introduced(conn):
            record = None  # Ids and states are told to those who have shown a token.
        if record is None:
            sentence = text(language, "unknown_client", client=agent_id)
            answer = ServerStatusResponse("error", moment, sentence)
        else:
            draining = live.serving == "draining"
            answer = ServerStatusResponse(
                "shutting_down" if draining else "online",
                moment,
                text(language, "server_shutting_down" if draining else "server_running"),
                client_status=record.status,
                server_uptime=round(live.uptime, 3),
            )
        live.pool.send(conn, answer.dump())
