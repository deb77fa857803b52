"""Socket.IO connections at their CONNECT: the token they show, and those that watch from then on.

Document B's pages only listen. With `socketio.watch_on_connect` every Socket.IO connection is a
watcher until it introduces itself; where tokens are required, only one that shows an operator's. To
the core such a connection is nobody yet, so that a heartbeat of it is an introduction like any
other.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from dscore.messages import MAX_TOKEN, WatchFilter
from dscore.peer_json import loads
from dscore.policy import Candidate
from dscore.policy.admission import has_token
from dscore.registry import Newcomer
from dscore.server.context import Context
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore._core import Connected

MAX_AUTH = 4096
"""Bytes of an `auth` that is looked at: it may be kept as long as its connection is nobody."""


class Onlookers:
    """Knows of every CONNECT; decides nothing that `policy.admission` does not."""

    def __init__(self, context: Context, watchers: Watchers) -> None:
        self._context = context
        self._watchers = watchers

    def connected(self, event: "Connected", now: int) -> None:
        """A client has joined a namespace. Only "/" has a meaning to us."""
        context = self._context
        newcomer = context.registry.newcomers.get(event.conn)
        if newcomer is None or event.namespace != "/":
            return
        auth = read_auth(event.auth)
        token = auth.get("token")
        if isinstance(token, str) and 0 < len(token) <= MAX_TOKEN:
            newcomer.token = token
            newcomer.is_token_wrong = not self._may_be_right(token)
            if newcomer.is_token_wrong:
                context.wrong_tokens.note("connect", newcomer.ip, conn_id=event.conn)
        if auth and context.hooks.authenticate is not None:
            newcomer.auth = event.auth
        if context.config.socketio.watch_on_connect and self._may_watch(event.conn):
            self._judge(event.conn, newcomer)

    def _may_be_right(self, token: str) -> bool:
        """Whether there is a role that a token can be of."""
        context = self._context
        if not context.config.auth.required:
            return True
        return context.agent_tokens.allows(token) or context.operator_tokens.allows(token)

    def _judge(self, conn: int, newcomer: Newcomer) -> None:
        """Makes it a watcher if it may be one. If not, it has not asked: nothing is said."""
        context, hook = self._context, self._context.hooks.authenticate
        candidate = Candidate(
            role="operator",
            agent_id="",
            ip=newcomer.ip,
            token=newcomer.token,
            introduced_by="connect",
            reconnection=False,
            auth=read_auth(newcomer.auth),
        )
        allowed = has_token(
            candidate,
            required=context.config.auth.required,
            agents=context.agent_tokens,
            operators=context.operator_tokens,
        )
        if not allowed:
            return
        if hook is None:
            self._watch(conn, newcomer)
        else:
            judged = partial(self._answered, conn)
            patience = context.config.auth.timeout
            context.hooks.ask(hook, (candidate,), judged, context.clock, patience)

    def _answered(self, conn: int, allowed: bool, error: BaseException | None) -> None:
        # Meanwhile it may have gone, introduced itself, or been sent away.
        newcomer = self._context.registry.newcomers.get(conn)
        if allowed and error is None and newcomer is not None and self._may_watch(conn):
            self._watch(conn, newcomer)

    def _may_watch(self, conn: int) -> bool:
        """Whether the gate lets watchers in; in maintenance, those that came since it began."""
        return self._context.gate != "draining" and conn not in self._context.sent_away

    def _watch(self, conn: int, newcomer: Newcomer) -> None:
        context = self._context
        context.registry.watch(conn, WatchFilter(), until_introduced=True)
        context.pool.lift_deadline(conn)
        self._watchers.begin(conn, snapshot=False)


def read_auth(auth: bytes | None) -> dict[str, Any]:
    """The `auth` of a CONNECT; one that is too long, or no object, counts as none."""
    if auth is None or len(auth) > MAX_AUTH:
        return {}
    try:
        value = loads(auth)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
