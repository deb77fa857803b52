"""Socket.IO connections at their CONNECT: the token they show, and those that watch from then on.

Pages of the Socket.IO contract only listen. With `socketio.watch_on_connect` every Socket.IO
connection is a watcher until it introduces itself; where tokens are required, only one that shows
an operator's. To the core such a connection is unauthenticated, so that a heartbeat of it is an
introduction like any other.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from dscore.messages import MAX_TOKEN, WatchFilter
from dscore.peer_json import loads
from dscore.policy import Candidate
from dscore.server.admission.authenticator import Authenticator
from dscore.server.live import Live
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore._core import Connected, Unauthenticated

MAX_AUTH = 4096
"""Bytes of an `auth` that is looked at: it may be kept until the connection is introduced."""


class Connects:
    """Knows of every CONNECT; decides nothing that `policy.admission` does not."""

    def __init__(self, live: Live, authenticator: Authenticator, watchers: Watchers) -> None:
        self._live = live
        self._authenticator = authenticator
        self._watchers = watchers

    def connected(self, event: "Connected", now: int) -> None:
        """A client has joined a namespace. Only "/" has a meaning to us."""
        live = self._live
        fleet, conn = live.fleet, event.conn
        if event.namespace != "/" or self._shown(conn) is None:
            return
        auth = read_auth(event.auth)
        token = auth.get("token")
        if isinstance(token, str) and 0 < len(token) <= MAX_TOKEN:
            is_wrong = not self._may_be_right(token)
            fleet.show_token(conn, token, is_wrong=is_wrong)
            if is_wrong:
                reason = live.keyring.why_not(token)
                live.wrong_tokens.note("connect", fleet.ip(conn), conn_id=conn, reason=reason)
        if auth and self._authenticator.asks:
            fleet.show_auth(conn, event.auth)
        shown = self._shown(conn)
        if shown is not None and live.config.socketio.watch_on_connect and self._may_watch(conn):
            self._judge(conn, shown)

    def _shown(self, conn: int) -> "Unauthenticated | None":
        """What a connection has shown that has not been introduced and does not watch yet."""
        fleet = self._live.fleet
        return None if fleet.is_introduced(conn) else fleet.unauthenticated(conn)

    def _may_be_right(self, token: str) -> bool:
        """Whether there is a role that a token can be of."""
        live = self._live
        if not live.config.auth.required:
            return True
        return live.keyring.find(token) is not None

    def _judge(self, conn: int, shown: "Unauthenticated") -> None:
        """Makes it a watcher if it may be one. If not, it has not asked: nothing is said."""
        candidate = Candidate(
            role="operator",
            agent_id="",
            ip=shown.ip,
            token=shown.token,
            introduced_by="connect",
            reconnection=False,
            auth=read_auth(shown.auth),
            certificate_names=tuple(shown.certificate_names),
        )
        granted = self._authenticator.with_grant(candidate)
        if granted is None:
            return
        if self._authenticator.asks:
            self._authenticator.ask(granted, partial(self._answered, conn))
        else:
            self._watch(conn)

    def _answered(self, conn: int, allowed: bool, error: BaseException | None) -> None:
        # Meanwhile it may have gone, introduced itself, or been sent away.
        is_there = self._shown(conn) is not None
        if allowed and error is None and is_there and self._may_watch(conn):
            self._watch(conn)

    def _may_watch(self, conn: int) -> bool:
        """Whether watchers are let in; in maintenance, those that came since it began."""
        return self._live.serving != "draining" and conn not in self._live.sent_away

    def _watch(self, conn: int) -> None:
        self._live.pool.lift_deadline(conn)
        self._watchers.begin(conn, WatchFilter(), snapshot=False, until_introduced=True)


def read_auth(auth: bytes | None) -> dict[str, Any]:
    """The `auth` of a CONNECT; one that is too long, or no object, counts as none."""
    if auth is None or len(auth) > MAX_AUTH:
        return {}
    try:
        value = loads(auth)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
