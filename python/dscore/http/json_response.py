"""A document as a response: orjson bytes, which FastAPI does not look at again."""

from typing import Any

import orjson
from starlette.responses import Response


def json_response(document: Any, status: int = 200) -> Response:
    """The document with its status."""
    return Response(orjson.dumps(document), status, media_type="application/json")
