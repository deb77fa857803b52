"""Puts the pages together: a FastAPI app for ours, the user's beside it, access before both."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from dscore._core import __version__
from dscore.http import api, bulk, health, methods, metrics, page, problems
from dscore.http.access import API, DRAIN, METRICS, OPENAPI, Access, WrongTokens
from dscore.http.audit import Keep, Ledger
from dscore.http.audit_page import AuditReader
from dscore.http.origins import Origins
from dscore.http.ports import Server
from dscore.http.redact import Redactor
from dscore.http.rules import Rules
from dscore.http.types import App

_DESCRIPTION = (
    "The HTTP side of a dscore server: health, probes, metrics and the operator API. Errors are "
    "problem documents (RFC 9457). During a drain everything but health, probes, metrics and "
    "/api/v1/drain answers 503 with Retry-After."
)
# Which refusals an operator call can meet, besides those that each may.
_REFUSALS = {
    "401": "The operator's token is missing or wrong.",
    "403": "The token is a watcher's, or a browser sent this for a page of another origin, or "
    "under a foreign host name.",
    "503": "The server is shutting down.",
    "default": "Any other error.",
}
_PARTICULAR = {
    ("get", f"{API}/agents"): {"400": "The cursor does not fit."},
    ("get", f"{API}/audit"): {"400": "The cursor does not fit."},
    ("get", f"{API}/agents/{{agent_id}}"): {"404": "Unknown agent."},
    ("get", f"{API}/agents/{{agent_id}}/events"): {"404": "Unknown agent."},
    ("delete", f"{API}/agents/{{agent_id}}"): {"404": "Unknown agent."},
    ("post", f"{API}/agents/{{agent_id}}/message"): {
        "404": "Unknown agent.",
        "409": "The agent is away, and has no session that could keep the message.",
    },
    **{
        ("post", f"{API}/{action}"): {"409": "Too many operations run."}
        for action in ("terminate", "message", "remove")
    },
    **{
        (method, f"{API}/operations/{{operation_id}}"): {"404": "There is no such operation."}
        for method in ("get", "delete")
    },
    ("post", f"{API}/agents/{{agent_id}}/terminate"): {
        "404": "Unknown agent.",
        "409": "The agent is not connected.",
    },
}


class Trail(AuditReader, Protocol):
    """What keeps the audit, and reads it."""

    @property
    def keep(self) -> Keep: ...


def build_app(
    server: Server,
    *,
    rules: Rules,
    wrong_tokens: WrongTokens,
    trail: Trail,
    user_app: App | None = None,
    page_at: str = "/",
    draining_status: int = 503,
    cors_origins: Sequence[str] = ("self",),
    cors_methods: Sequence[str] = ("GET", "POST"),
    names: Sequence[str] = (),
    redact: Sequence[str] = (),
) -> Access:
    """The whole HTTP side of a server as one ASGI app.

    Args:
        server: What the pages show and change.
        rules: Who may do what. A reload sets `rules` of what is returned.
        wrong_tokens: Hears of tokens that are none.
        trail: Keeps the lines of the audit.
        user_app: Gets every path that is not exactly one of ours, "/openapi.json" if it has that,
            and the lifespan.
        page_at: Path of the fleet page; "/" is the user's app's own, and means "/dscore/" then.
        draining_status: The HTTP status of the health document during a drain.
        cors_origins: Origins whose pages may reach the operator API: "*" means all, "self" our own.
        cors_methods: Methods that they may use.
        names: Host names of the server, for "self".
        redact: Parts of keys whose values in configs are not shown, besides the usual ones.

    Raises:
        ValueError: an origin or a name cannot be one.
    """
    app = FastAPI(
        title="dscore",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=OPENAPI,
        # The stock documentation pages load their scripts from the internet, which boxes lack.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    if user_app is not None and page_at == "/":
        page_at = "/dscore/"
    problems.install(app)
    app.state.server = server
    app.state.trail = trail
    app.state.redactor = Redactor(redact)
    app.state.operations = bulk.Operations()
    app.state.registry = metrics.registry_of(server)
    app.state.sampler = health.SystemSampler()
    app.state.draining_status = draining_status
    app.state.page_at = page_at
    # Not included: FastAPI would read each route once more, at the first request.
    for router in (health.routes, metrics.routes, *api.ROUTERS, page.router(page_at)):
        app.router.routes.extend(router.routes)
    access = Access(
        app,
        user_app,
        has_route=partial(methods.has_route, app.routes),
        allow=partial(methods.allow, app.routes),
        page=page_at,
        is_draining=lambda: server.is_draining,
        rules=rules,
        origins=Origins(cors_origins, names, cors_methods),
        wrong_tokens=wrong_tokens,
        ledger=Ledger(trail.keep),
    )
    app.openapi = lambda: _openapi(app, access)  # type: ignore[method-assign]
    return access


def _openapi(app: FastAPI, access: Access) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, made once, plus what `access` refuses and asks for."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        _describe_problems(document)
        app.openapi_schema = document
    _describe_token(app.openapi_schema, access.rules)
    return app.openapi_schema


def _describe_problems(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            refusals = dict(_PARTICULAR.get((method, path), {}))
            if "422" in operation["responses"]:
                refusals["422"] = "The request is not valid."
            if "requestBody" in operation:
                _forbid_null(operation["requestBody"])
                refusals["415"] = "The body is not sent as JSON."
            if path.startswith(API):
                refusals |= _REFUSALS
            if path == DRAIN:
                del refusals["503"]
            if path == METRICS:
                refusals |= {key: _REFUSALS[key] for key in ("401", "default")}
            for status, description in refusals.items():
                operation["responses"][status] = _problem_response(description)


def _forbid_null(body: dict[str, Any]) -> None:
    """A body may be left out, but one that is there is an object: FastAPI writes both as null."""
    content = body["content"]["application/json"]
    shapes = content["schema"].get("anyOf", ())
    for shape in shapes:
        if shape.get("type") != "null":
            content["schema"] = shape


def _problem_response(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {problems.MEDIA_TYPE: {"schema": schema}}}


def _describe_token(document: dict[str, Any], rules: Rules) -> None:
    """Which operations ask for the token of a request that no proxy has passed on; a reload may
    change it."""
    document["components"]["securitySchemes"] = {"operator": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        is_api = path.startswith(API)
        for method, operation in operations.items():
            operation.pop("security", None)
            if is_api or path == METRICS:
                need = rules.need(method.upper(), is_api=is_api, is_forwarded=False)
                # Where none is needed one does no harm: {} says so.
                operation["security"] = [{"operator": []}, *([] if need != "nothing" else [{}])]
