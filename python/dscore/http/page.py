"""The fleet page: one document with its styles and scripts inside, and nothing from elsewhere.

Made once, from the files in `page/`, which `make page` has bundled (`clients/page`), so that a
browser that could get it has all of it: a page that was opened during a drain does not lack its
half. It holds no data; what it shows it asks for as every other watcher and operator does.
"""

import gzip
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

_LINK = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
_ROOT = '<html lang="en" data-root="">'
_REFUSED = re.compile(r"q=0(?:\.0{0,3})?")
_SCRIPT = re.compile(r'<script src="([\w.]+)"></script>')


@lru_cache(maxsize=4)
def router(path: str) -> APIRouter:
    """The page at its path, for all servers that have it there. All it asks for it finds relative
    to that, so that a proxy may have the server under any prefix."""
    routes = APIRouter()
    root = "../" * (path.count("/") - 1)
    document, policy = _assemble(Path(__file__).with_name("page"), root)
    packed = _compressed(document)
    tag = f'"{sha256(document).hexdigest()[:32]}"'
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": policy,
        "etag": tag,
        "vary": "accept-encoding",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }

    @routes.get(path, include_in_schema=False)
    async def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if not _takes_gzip(request.headers.getlist("accept-encoding")):
            return Response(document, 200, headers, "text/html")
        return Response(packed, 200, {**headers, "content-encoding": "gzip"}, "text/html")

    if len(path) > 1 and path.endswith("/"):
        # Relative, for the same reason.
        to_page = {"location": f"{path.rstrip('/').rpartition('/')[2]}/"}

        @routes.get(path.rstrip("/"), include_in_schema=False)
        async def lead_to_page() -> Response:
            return Response(status_code=308, headers=to_page)

    return routes


def _takes_gzip(fields: Sequence[str]) -> bool:
    """Whether an answer may be compressed (RFC 9110 §12.5.3)."""
    weights = {}
    for each in ",".join(fields).lower().split(","):
        coding, _, weight = each.partition(";")
        weights[coding.strip()] = _REFUSED.fullmatch(weight.strip()) is None
    return weights.get("gzip", weights.get("*", False))


def _compressed(document: bytes) -> bytes:
    return gzip.compress(document, 9, mtime=0)


def _assemble(folder: Path, root: str) -> tuple[bytes, str]:
    """The document, and the policy that lets run in it what is ours and nothing else.

    An agent's id is text from the network. Should one ever get into the markup, no script of
    its own runs: those that may are named by their hashes.
    """
    allowed: dict[str, list[str]] = {"script": [], "style": []}

    def inline(name: str, tag: str) -> str:
        text = (folder / name).read_text("utf-8")
        digest = b64encode(sha256(text.encode()).digest()).decode()
        allowed[tag].append(f"'sha256-{digest}'")
        return f"<{tag}>{text}</{tag}>"

    document = (folder / "index.html").read_text("utf-8")
    document = document.replace(_ROOT, _ROOT.replace('""', f'"{root}"'))
    document = _LINK.sub(lambda found: inline(found[1], "style"), document)
    document = _SCRIPT.sub(lambda found: inline(found[1], "script"), document)
    policy = (
        f"default-src 'none'; script-src {' '.join(allowed['script'])}; "
        f"style-src {' '.join(allowed['style'])}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    )
    return document.encode(), policy
