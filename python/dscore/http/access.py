"""Whether a request may come in to the pages: asked before anything is parsed.

For each request, in this order: whose path it is, whether a drain turns it away, whether it may do
what it asks for (`rules`), whether its page may reach us (`origins`). What uses power is
written down, whatever comes of it (`audit`). Plain ASGI, because during a drain and a reconnect
storm most requests end here.
"""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol
from urllib.parse import unquote

from starlette.responses import Response

from dscore.http import methods, rules
from dscore.http.audit import Audit, Ledger
from dscore.http.origins import Judged, Origins
from dscore.http.problems import NOTHING_HERE, problem
from dscore.http.types import STEPS_ASIDE, App, Message, Receive, Scope, Send

HEALTH = "/deepstream/health"
PROBES = ("/livez", "/readyz", "/startupz")
METRICS = "/metrics"
API = "/api/v1"
OPENAPI = f"{API}/openapi.json"
OPENAPI_ALIAS = "/openapi.json"
DRAIN = f"{API}/drain"

_OPEN_IN_A_DRAIN = frozenset((HEALTH, *PROBES, METRICS, DRAIN))
_OURS = frozenset((HEALTH, *PROBES, METRICS, OPENAPI))
_ASKED_BY_CHECKS = frozenset((HEALTH, *PROBES))
_ABOUT_ALL = frozenset((METRICS, OPENAPI, OPENAPI_ALIAS))
"""What is closed with `auth.required` only."""
SEES_IDS = "dscore.sees_ids"
"""In the scope of a request for the health document: whether it may name agents."""
MAX_PATH = 256
"""Characters of a path in a line of log."""
RETRY_AFTER = "10"
"""Seconds: the shortest wait that PROTOCOL.md §7 has for a server that is shutting down."""


class WrongTokens(Protocol):
    """What `access` needs of `dscore.server.wrong_tokens`."""

    def note(self, where: Literal["http"], ip: str, /, **fields: object) -> None: ...
    async def delay(self) -> None: ...


class Access:
    """Sends each request to our pages or to the user's app, or turns it away.

    Args:
        ours: The pages of dscore.
        theirs: The user's app, if there is one; it gets every path that is not ours.
        has_route: Whether a path below the API's, as it was sent, is one of ours. With a user's app
            no other is: it may have an API of its own there.
        allow: The methods that a path, as it was sent, takes; empty where there is nothing.
        page: Path of the fleet page.
        is_draining: Whether new connections are turned away.
        rules: Who may do what.
        origins: Which pages may reach us.
        wrong_tokens: Hears of tokens that are none.
        ledger: Takes the lines of the audit.

    Attributes:
        rules: May be replaced at any time.
    """

    def __init__(
        self,
        ours: App,
        theirs: App | None,
        *,
        has_route: Callable[[str], bool],
        allow: Callable[[str], str],
        page: str,
        is_draining: Callable[[], bool],
        rules: rules.Rules,
        origins: Origins,
        wrong_tokens: WrongTokens,
        ledger: Ledger,
    ) -> None:
        self._ours = ours
        self._has_route = has_route
        self._allow = allow
        # Without its last slash it leads to the page.
        self._ours_at = _OURS | {page, page.rstrip("/") or page}
        self._theirs = theirs
        self._is_draining = is_draining
        self._page_at = page
        self._origins = origins
        self._wrong_tokens = wrong_tokens
        self._ledger = ledger
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (self._theirs or _no_lifespan)(scope, receive, send)
            return
        path: str = scope["path"]
        if path == "*":  # RFC 9110 §9.3.7: of the server as a whole
            await self._options(methods.OF_THE_SERVER, path)(scope, receive, send)
        elif self.is_ours(_sent(scope)):
            await self._answer(scope, receive, send, path)
        elif self._is_draining():
            await _draining()(scope, receive, send)
        elif self._theirs is None:
            await problem(404, NOTHING_HERE)(scope, receive, send)
        elif path == OPENAPI_ALIAS:
            await self._theirs_or_ours(self._theirs, scope, receive, send)
        else:
            await self._theirs(scope, receive, send)

    def is_ours(self, sent: str) -> bool:
        """Whether a path, as it was sent, is one of ours."""
        path = unquote(sent)
        if path in self._ours_at:
            return True
        if self._theirs is None:
            return path in (API, OPENAPI_ALIAS) or path.startswith(f"{API}/")
        return path.startswith(f"{API}/") and self._has_route(sent)

    async def _theirs_or_ours(
        self, theirs: App, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The user's document, and ours only where that app has none: its pages about itself read
        it by this name."""
        is_missing = False

        async def send_if_there(message: Message) -> None:
            nonlocal is_missing
            is_missing |= message["type"] == "http.response.start" and message["status"] == 404
            if not is_missing:
                await send(message)

        # Apps may write to a scope.
        own_scope = {**scope}
        await theirs(scope, receive, send_if_there)
        if is_missing:
            await self._answer(own_scope, receive, send, OPENAPI_ALIAS)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Answers a request for one of our own paths."""
        is_api = path.startswith(API) and path not in _ABOUT_ALL
        judged = self._judge(scope, path)
        send = judged.sending(_uncached(send))
        if scope["method"] == "OPTIONS":
            sent = OPENAPI if path == OPENAPI_ALIAS else _sent(scope)
            app = judged.answer or self._options(self._allow(sent), path)
            await app(scope, receive, send)
            return
        if not is_api or scope["method"] in rules.READING:
            app = await self._app(scope, path, is_api, judged, None)
            await app(scope, receive, send)
            return
        audit = Audit(scope, self._ledger)
        try:
            app = await self._app(scope, path, is_api, judged, audit)
            await app(scope, receive, audit.sending(send))
        finally:
            audit.write(None)

    def _judge(self, scope: Scope, path: str) -> Judged:
        """Whether the page that sent a request, if one did, may reach us."""
        is_forwarded = rules.is_forwarded(scope)
        check_host = not self.rules.is_closed(is_forwarded=is_forwarded)
        if path.startswith(API):
            return self._origins.api(scope, check_host=check_host)
        if path == HEALTH:
            return self._origins.health(scope)
        if path == self._page_at:
            return self._origins.page(scope, check_host=check_host)
        return Judged()

    def _options(self, allow: str, path: str) -> App:
        """What a path takes: told to all, for it is no secret. Health and probes say besides how
        things are, as they do to GET: there are checks that ask by OPTIONS."""
        if path in _ASKED_BY_CHECKS:
            return self._checked(allow)
        if self._is_draining() and path not in _OPEN_IN_A_DRAIN:
            return _draining()
        if not allow:
            return problem(404, NOTHING_HERE)
        return Response(status_code=204, headers={"allow": allow})

    def _checked(self, allow: str) -> App:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_with_allow(message: Message) -> None:
                if message["type"] == "http.response.start":
                    headers = [*message.get("headers", ()), (b"allow", allow.encode())]
                    message = {**message, "headers": headers}
                await send(message)

            scope["method"] = "GET"
            app = await self._our(scope, scope["path"])
            await app(scope, receive, send_with_allow)

        return answer

    async def _app(
        self, scope: Scope, path: str, is_api: bool, judged: Judged, audit: Audit | None
    ) -> App:
        """Our pages, or the answer that turns a request away."""
        method, headers = scope["method"], scope["headers"]
        is_forwarded = rules.is_forwarded(scope)
        need: rules.Need = "nothing"
        if is_api or path in _ABOUT_ALL:
            need = self.rules.need(method, is_api=is_api, is_forwarded=is_forwarded)
        shown = rules.authorizations(headers)
        # Where nothing is asked for, none is looked at: a signed one takes time.
        is_asked = need != "nothing" or audit is not None
        caller = self.rules.caller(rules.bearer(shown)) if is_asked else None
        if audit is not None:
            audit.caller = _name(caller, need)
        if self._is_draining() and path not in _OPEN_IN_A_DRAIN:
            return _draining()
        if judged.answer is not None:
            return judged.answer
        if rules.allows(caller, need):
            return await self._our(scope, path)
        if caller is not None:
            return rules.forbidden(caller)
        if shown:
            await self._note_wrong_token(scope, path)
        return rules.refusal(need, is_shown=bool(shown))

    async def _note_wrong_token(self, scope: Scope, path: str) -> None:
        """A token that is none was shown: it is counted, written down, and answered late."""
        peer, _ = scope.get("client") or ("", 0)
        method, reason = scope["method"], self.rules.why_not(scope["headers"])
        self._wrong_tokens.note("http", peer, method=method, path=path[:MAX_PATH], reason=reason)
        if steps_aside := scope.get(STEPS_ASIDE):
            steps_aside()  # or a few guesses would take every place
        await self._wrong_tokens.delay()

    async def _our(self, scope: Scope, path: str) -> App:
        if path == HEALTH:
            sees_ids = self.rules.may_see_ids(scope["headers"])
            if sees_ids is None:
                # It is answered all the same, and tells whether the token was right.
                await self._note_wrong_token(scope, path)
            scope[SEES_IDS] = bool(sees_ids)
        # An agent id may hold any character: routes match the path as it was sent, where a "/"
        # inside an id is still "%2F", and decode the id themselves.
        path = _sent(scope)
        scope["path"] = OPENAPI if path == OPENAPI_ALIAS else path
        # The bridge sends no body for HEAD, so that whatever can be got has its headers.
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        return self._ours


def _sent(scope: Scope) -> str:
    path: str = scope["raw_path"].decode("ascii", "replace")
    return path


def _uncached(send: Send) -> Send:
    """The same `send`: what our pages say is of the moment, and depends on the token that was shown
    (RFC 9111 §5.2.2.5)."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ())]
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                message = {**message, "headers": [*headers, (b"cache-control", b"no-store")]}
        await send(message)

    return wrapped


def _name(caller: rules.Caller | None, need: rules.Need) -> str | None:
    """What the audit calls a caller; None: it is not known."""
    if caller is None:
        return rules.LOCAL if need == "nothing" else None
    return caller.name


def _draining() -> Response:
    detail = "The server is shutting down; come back when it is up again."
    return problem(503, detail, headers={"retry-after": RETRY_AFTER})


async def _no_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        raise RuntimeError(f"no app for a scope of type {scope['type']!r}")
    answers: Iterable[str] = ("lifespan.startup.complete", "lifespan.shutdown.complete")
    for kind in answers:
        await receive()
        await send({"type": kind})
