"""The audit, kept in the store for as long as `store.retention`."""

from collections.abc import Callable, Mapping

import orjson

from dscore.store import AuditRow
from dscore.store.behind import Behind

MAX_LINE = 8192
"""Bytes of a line; a longer one is kept without its parameters."""


class AuditTrail:
    """Writes and reads it."""

    def __init__(
        self, store: Behind, now_ms: Callable[[], int], unix_ms: Callable[[int], int]
    ) -> None:
        """
        Args:
            now_ms: the pool's clock.
            unix_ms: makes Unix milliseconds of a time on it.
        """
        self._store = store
        self._now_ms = now_ms
        self._unix_ms = unix_ms

    def keep(self, fields: Mapping[str, object], *, refused: bool) -> None:
        """Keeps a line of the log."""
        data = _written(fields)
        if len(data) > MAX_LINE:
            data = _written({name: fields[name] for name in fields if name != "parameters"})
        self._store.audit(self._unix_ms(self._now_ms()), data, refused=refused)

    async def read(self, *, limit: int, before: int | None) -> tuple[list[AuditRow], int | None]:
        """A page, newest first, and the `before` of the next one if there is one."""
        lines = await self._store.read_audit(limit=limit + 1, before=before)
        page = lines[:limit]
        return page, page[-1].number if len(lines) > limit else None


def _written(fields: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(fields, default=str)
    except TypeError:
        # A lone surrogate, which is no UTF-8: the line must not be lost for it.
        shown = {name: ascii(value) for name, value in fields.items()}
        return orjson.dumps(shown)
