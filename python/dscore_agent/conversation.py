"""The messages of one connection: introduction, heartbeats, and the answers of the wire contract.

It decides nothing about the agent: `Owner` gets what the server asks for.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar, Protocol

from dscore_agent.alarm import Alarm
from dscore_agent.config import AgentConfig
from dscore_agent.dialect import Dialect
from dscore_agent.log import LineLimit, Log
from dscore_agent.seen import SeenIds
from dscore_agent.weight import MAX_WEIGHT, TOO_HEAVY, weight
from dscore_agent.wire import Connection

HEARTBEAT_SECONDS = 30.0
"""Until the server names another time: reconnection_ack does not."""
ACK_SECONDS = 5.0
"""Without an ack after so long a heartbeat asks: servers may be set to send no app_ready_ack."""
MAX_UNANSWERED = 3
"""Heartbeats without an answer, on a connection that was never acknowledged: the server's kernel
takes frames, and its process does not read them."""
INVITATION_SECONDS = 20.0
"""For the dialect's own packets, where it has some before the introduction."""
MIN_HEARTBEAT = 0.05
MAX_HEARTBEAT = 3600.0
MAX_REQUEST_ID = 256
"""Characters; a UUID has 36, and each is kept until it is answered."""

CONTROL = frozenset(
    {
        "app_ready",
        "app_terminated",
        "client_status_request",
        "connection_check_response",
        "heartbeat",
        "reconnection_success",
        "termination_progress",
    }
)
"""Types that are part of the protocol: never refused, whatever the server is doing."""

_log = Log("dscore.agent")


class Owner(Protocol):
    """The agent above the conversation."""

    def acknowledged(self, *, restored: bool) -> None:
        """The server has accepted the introduction."""

    def asked_to_terminate(self, request_id: str, reason: str) -> None:
        """The application has to stop."""

    def server_leaves(self, reconnect_after: float | None) -> None:
        """The server is going away; seconds to stay away after the close, if it said so."""

    def received(self, message: dict[str, Any], size: int) -> None:
        """A message for the application, and the bytes of memory that it takes, about."""


class Conversation:
    """The messages of one connection. `begin` comes once, `end` any number of times."""

    def __init__(self, config: AgentConfig, dialect: Dialect, owner: Owner) -> None:
        self._config = config
        self._dialect = dialect
        self._owner = owner
        self._connection: Connection | None = None
        self._alarm = Alarm(self._beat)
        self._seen = SeenIds()
        self._log_limit = LineLimit(_log, "the server causes too many")
        self._unanswered = 0
        self._interval = HEARTBEAT_SECONDS
        self._introduction: dict[str, Any] | None = None
        """The fields of app_ready; None: it was sent."""
        self.is_acknowledged = False
        """The server has accepted the introduction."""

    def begin(
        self,
        connection: Connection,
        *,
        token: str | None,
        reconnection: bool,
        last_close_code: int,
    ) -> None:
        """Introduces the agent, as soon as the dialect allows.

        Args:
            connection: Just opened.
            token: What the server may want to see.
            reconnection: The server has known this run of the agent before.
            last_close_code: How the last connection ended.
        """
        self._connection = connection
        self._unanswered = 0
        self._introduction = {
            "instance_id": self._config.instance_id,
            "reconnection": reconnection,
            "last_close_code": last_close_code,
            "config": self._config.app_config,
            **({} if token is None else {"token": token}),
        }
        if self._dialect.begins_at_once:
            self._introduce()
        else:
            self._arm(INVITATION_SECONDS)
        connection.begin()

    def end(self) -> None:
        """The connection has ended: sends no more."""
        self._connection = None
        self.is_acknowledged = False
        self._alarm.cancel()

    def send(self, type_name: str, **fields: Any) -> bool:
        """Sends a message of the protocol; False: there is no connection, and it is lost."""
        if self._connection is None or not self._connection.is_open:
            return False
        self._connection.send(self._dialect.encode({"type": type_name, **fields}))
        return True

    def receive(self, text: bytes) -> None:
        """Takes a message's bytes. A message that cannot be decoded is logged and ignored."""
        heavy = weight(text)
        try:
            if heavy > MAX_WEIGHT:
                raise ValueError(TOO_HEAVY)
            packet = self._dialect.decode(text)
        except ValueError as error:
            self._log_limit.warning("message_ignored", reason=str(error))
            return
        if packet.reply is not None and self._connection is not None:
            self._connection.send(packet.reply)
        if packet.begins:
            self._introduce()
        if packet.ends is not None and self._connection is not None:
            # The server's close frame may be on its way already: its code counts then.
            _log.info("dismissed", reason=packet.ends)
            self._connection.close(1000, "dismissed")
        if packet.message is not None:
            self._hear(packet.message, len(text) + heavy)

    def _hear(self, message: dict[str, Any], size: int) -> None:
        answer = self._answers.get(message["type"])
        if answer is not None:
            answer(self, message)
        # The application sees errors too: it may have caused them.
        if answer is None or message["type"] == "error":
            if self._seen.is_repeated(message.get("message_id")):
                self._log_limit.info("message_repeated", message_id=message["message_id"])
                return
            self._owner.received(message, size)

    def _introduce(self) -> None:
        introduction, self._introduction = self._introduction, None
        if introduction is not None:
            self.send("app_ready", **introduction)
            self._arm(ACK_SECONDS)

    def _acked(self, message: Mapping[str, Any]) -> None:
        self._heartbeat_in(message)
        if not self.is_acknowledged and self._connection is not None:
            self.is_acknowledged = True
            self._owner.acknowledged(restored=message.get("session_restored") is True)

    def _heartbeat_answered(self, message: Mapping[str, Any]) -> None:
        if message.get("status") == "ok":
            self._acked(message)
            return
        self._unanswered = 0
        self._log_limit.warning("heartbeat_failed", reason=message.get("message"))
        if message.get("shouldReconnect") is True and self._connection is not None:
            self._connection.close(1000, "heartbeat failed")

    def _checked(self, _: Mapping[str, Any]) -> None:
        self.send("connection_check_response", client_name=self._config.instance_id)

    def _asked_to_terminate(self, message: Mapping[str, Any]) -> None:
        request_id, reason = message.get("request_id"), message.get("reason")
        if not isinstance(request_id, str) or len(request_id) > MAX_REQUEST_ID:
            self._log_limit.warning(
                "message_ignored", reason="terminate_app without a usable request_id"
            )
            return
        self._owner.asked_to_terminate(request_id, reason if isinstance(reason, str) else "")

    def _server_leaves(self, message: Mapping[str, Any]) -> None:
        after = milliseconds(message.get("reconnectAfter"))
        self._log_limit.info("server_leaves", reason=message.get("message"), reconnect_after=after)
        self._owner.server_leaves(after)

    def _complained(self, message: Mapping[str, Any]) -> None:
        code, text, about = (message.get(key) for key in ("code", "message", "request_type"))
        self._log_limit.warning("message_refused", code=code, reason=text, request_type=about)

    def _heartbeat_in(self, message: Mapping[str, Any]) -> None:
        seconds = milliseconds(message.get("nextHeartbeatIn"))
        if seconds is not None:
            self._interval = min(max(seconds, MIN_HEARTBEAT), MAX_HEARTBEAT)
        self._arm(self._interval)

    def _beat(self, gap: float) -> None:
        # After a gap the answers may lie in the socket: they are read before silence is judged.
        if self._connection is not None and not gap and (reason := self._silence()) is not None:
            _log.warning("not_acknowledged", reason=reason)
            self._connection.close(1000, reason)
            return
        if self._introduction is not None:
            self._arm(INVITATION_SECONDS)
            return
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self.send(
            "heartbeat",
            clientName=self._config.instance_id,
            timestamp=now.replace("+00:00", "Z"),
        )
        self._unanswered += not self.is_acknowledged and not gap
        self._arm(self._interval if self.is_acknowledged else ACK_SECONDS)

    def _silence(self) -> str | None:
        """Which answer is overdue; None: none is yet."""
        if self._introduction is not None:
            return "no invitation"
        if not self.is_acknowledged and self._unanswered >= MAX_UNANSWERED:
            return f"no answer to {MAX_UNANSWERED} heartbeats"
        return None

    def _arm(self, seconds: float) -> None:
        if self._connection is not None:
            self._alarm.arm(seconds)

    _answers: ClassVar[Mapping[str, Callable[..., None]]] = {
        "app_ready_ack": _acked,
        "reconnection_ack": _acked,
        "heartbeat_response": _heartbeat_answered,
        "connection_check": _checked,
        "terminate_app": _asked_to_terminate,
        "server_shutdown": _server_leaves,
        "error": _complained,
    }


def milliseconds(value: object) -> float | None:
    """Seconds; None for what is no finite number of milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value / 1000 if math.isfinite(value) and value >= 0 else None
