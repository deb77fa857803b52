"""The target of a request in the form that is asked about: a path, and a query."""

WHOLE_BODIES = (
    "/api/v1/agents/{agent_id}/terminate",
    "/api/v1/agents/{agent_id}/message",
    "/api/v1/terminate",
    "/api/v1/message",
    "/api/v1/remove",
    "/api/v1/maintenance",
    "/api/v1/drain",
)
"""Paths of ours that take a body: those requests are handed over when they are whole, those of a
program's own app as they come."""


def local(target: str) -> str:
    """The path and the query of a target, whatever its form.

    RFC 9112 §3.2.2: a server must take the absolute form too. The core has held its authority
    against Host; nothing here may refuse what it let through, or the request is never answered.
    """
    if target.startswith("/") or "://" not in target:
        return target
    rest = target.partition("://")[2]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    found = rest[end:]
    return found if found.startswith("/") else f"/{found}"


def path_of(target: str) -> str:
    """The path of a target, as it was sent."""
    return local(target).partition("?")[0]
