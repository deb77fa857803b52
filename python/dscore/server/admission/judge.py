"""Letting connections in or turning them away: the asyncio side of `policy.admission`."""

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from dscore.log import get_logger
from dscore.log.certificates import certificate_fields
from dscore.log.limit import LineLimit
from dscore.messages import (
    AppReady,
    Heartbeat,
    HeartbeatResponse,
    ReconnectionSuccess,
    Refusal,
    Watch,
    parse,
    timestamp,
)
from dscore.policy import Candidate
from dscore.server.admission.acceptance import Acceptance
from dscore.server.admission.authenticator import Authenticator
from dscore.server.admission.connects import read_auth
from dscore.server.hooks import TooLateError
from dscore.server.live import REFUSAL_REASONS, Live
from dscore.server.wrong_tokens import Where
from dscore.translations import text

if TYPE_CHECKING:
    from dscore._core import Introduction, Unauthenticated

IntroductionMessage: TypeAlias = AppReady | Heartbeat | ReconnectionSuccess | Watch

FAILED = "authentication failed"
NO_TOKEN = "no token"
"""The cause in the log, where none was shown; the close reason stays the contract's."""
LINES_A_SECOND = 20
"""Of introductions that are refused without a token."""

_log = get_logger("dscore.admission")


class Judge:
    """Everything until a connection is introduced: the serving state, tokens, `authenticate`."""

    def __init__(self, live: Live, authenticator: Authenticator, acceptance: Acceptance) -> None:
        self._live = live
        self._authenticator = authenticator
        self._acceptance = acceptance
        self._judged: set[int] = set()
        """Connections whose token an async authenticate looks at, or that are answered late."""
        self._refused = LineLimit(_log, LINES_A_SECOND)

    def introduction(self, event: "Introduction", now: int) -> None:
        """The first message of a connection: the core reads no further until it is answered."""
        shown = self._live.fleet.unauthenticated(event.conn)
        if shown is None or self._is_refused(event.conn, watches=event.kind == "watch"):
            return
        try:
            message = parse(event.kind, event.text)
        except Refusal as refusal:
            self._refuse(event.conn, refusal)
            return
        if isinstance(message, IntroductionMessage):
            self.judge(event.conn, message, event.kind, shown.ip, now, shown)
        else:
            raise RuntimeError(f"the core took {event.kind} for an introduction")

    def judge(
        self,
        conn: int,
        message: IntroductionMessage,
        kind: str,
        ip: str,
        now: int,
        shown: "Unauthenticated | None" = None,
    ) -> None:
        """Lets a connection in or not; with an async authenticate, in a while.

        Args:
            shown: by an unauthenticated connection. None: it was let in before, and wants to watch.
        """
        authenticator = self._authenticator
        if not authenticator.is_needed:
            self._let_in(conn, message, kind, now)
            return
        if conn in self._judged:
            # The core reads on behind the watch of one that is introduced; each would be a task.
            self._refuse(conn, Refusal("forbidden", "an earlier watch is still looked at", kind))
            return
        candidate = _candidate(message, kind, ip, shown)
        granted = authenticator.with_grant(candidate)
        if granted is None:
            cause = NO_TOKEN if candidate.token is None else ""
            self._turn_away(conn, candidate, cause=cause)
        elif not authenticator.has_certificate(candidate):
            # Its token is right, and not to be counted as a wrong one.
            cause = "its certificate does not name this agent"
            self._turn_away(conn, candidate._replace(token=None), cause=cause)
        elif not authenticator.asks:
            self._let_in(conn, message, kind, now)
        elif authenticator.ask(granted, partial(self._answered, conn, message, granted)):
            self._judged.add(conn)

    def _answered(
        self,
        conn: int,
        message: IntroductionMessage,
        candidate: Candidate,
        allowed: bool,
        error: BaseException | None,
    ) -> None:
        live = self._live
        self._judged.discard(conn)
        # Much may have happened meanwhile: the connection may have gone, a drain may have begun.
        may_introduce = live.fleet.may_introduce(conn)
        if not may_introduce and not live.fleet.is_introduced(conn):
            return
        watches = candidate.role == "operator"
        if conn in live.sent_away or (may_introduce and self._is_refused(conn, watches=watches)):
            return
        now = live.pool.now_ms()
        if isinstance(error, TooLateError):
            self._turn_away(conn, candidate, "authentication timeout")
        elif error is not None:
            self._fail(conn, message, now)
        elif allowed:
            self._let_in(conn, message, candidate.introduced_by, now)
        else:
            self._turn_away(conn, candidate)

    def _let_in(self, conn: int, message: IntroductionMessage, kind: str, now: int) -> None:
        if isinstance(message, Watch):
            self._acceptance.watcher(conn, message)
            return
        if self._live.fleet.may_introduce(conn):
            self._acceptance.agent(conn, message, kind, now)

    def _turn_away(
        self, conn: int, candidate: Candidate, why: str = FAILED, *, cause: str = ""
    ) -> None:
        live = self._live
        live.counters.authentication_failures_total += 1
        known = live.fleet.unauthenticated(conn)
        if why != FAILED or candidate.token is None:
            self._refused.warning(
                "introduction_refused",
                agent_id=candidate.agent_id,
                conn_id=conn,
                ip=candidate.ip,
                **certificate_fields(candidate.certificate_names),
                reason=cause or why,
            )
            self._answer_refused(conn, candidate, why)
            return
        shown = known.token if known is not None and known.is_token_wrong else None
        if candidate.token != shown:  # else it was counted at its CONNECT
            where: Where = "watch" if candidate.role == "operator" else "app_ready"
            name = {"agent_id": candidate.agent_id} if candidate.agent_id else {}
            reason = live.keyring.why_not(candidate.token, candidate.agent_id)
            live.wrong_tokens.note(where, candidate.ip, **name, conn_id=conn, reason=reason)
        self._judged.add(conn)
        live.wrong_tokens.answer_late(partial(self._answer_refused, conn, candidate, why))

    def _answer_refused(self, conn: int, candidate: Candidate, why: str) -> None:
        self._judged.discard(conn)
        if candidate.role == "operator":
            self._refuse(conn, Refusal("forbidden", "watching needs the operator role", "watch"))
        else:
            self._live.pool.close_connection(conn, 1008, why)

    def _fail(self, conn: int, message: IntroductionMessage, now: int) -> None:
        """Our own fault, so no 1008: it would keep an agent from coming back."""
        live = self._live
        if isinstance(message, Watch):
            self._refuse(conn, Refusal("forbidden", "the role could not be checked", "watch"))
            return
        if isinstance(message, Heartbeat):
            sentence = text(live.config.log.language, "heartbeat_failed")
            failed = HeartbeatResponse(timestamp(live.unix(now)), sentence, None)
            live.pool.send(conn, failed.dump())
        live.pool.close_connection(conn, 1011, "internal error")

    def _refuse(self, conn: int, refusal: Refusal) -> None:
        self._live.pool.refuse(conn, refusal.code, refusal.message, refusal.request_type)

    def _is_refused(self, conn: int, *, watches: bool) -> bool:
        """Turns an unauthenticated connection away: during a drain, and in maintenance unless it
        only wants to watch."""
        serving = self._live.serving
        if serving == "open" or (
            serving == "maintenance" and watches and conn not in self._live.sent_away
        ):
            return False
        cause = "shutdown" if serving == "draining" else ""
        self._live.pool.close_connection(conn, 1013, REFUSAL_REASONS[serving], cause)
        return True


def _candidate(
    message: IntroductionMessage, kind: str, ip: str, shown: "Unauthenticated | None"
) -> Candidate:
    token, auth, names = (
        (None, None, ())
        if shown is None
        else (shown.token, shown.auth, tuple(shown.certificate_names))
    )
    return Candidate(
        role="operator" if isinstance(message, Watch) else "agent",
        agent_id="" if isinstance(message, Watch) else message.agent_id,
        ip=ip,
        token=getattr(message, "token", None) or token,
        introduced_by=kind,
        reconnection=isinstance(message, AppReady) and message.reconnection,
        auth=read_auth(auth),
        certificate_names=names,
    )
