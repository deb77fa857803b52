"""An audit that keeps its lines in a list, for tests of the pages."""

from collections.abc import Mapping

import orjson

from dscore.store import AuditRow


class FakeTrail:
    """What `dscore.server.audit_trail` is to the pages."""

    def __init__(self) -> None:
        self.lines: list[AuditRow] = []

    def keep(self, fields: Mapping[str, object], *, refused: bool) -> None:
        number = len(self.lines) + 1
        self.lines.append(AuditRow(number, 0, 0, int(refused), orjson.dumps(fields)))

    async def read(self, *, limit: int, before: int | None) -> tuple[list[AuditRow], int | None]:
        fitting = [one for one in reversed(self.lines) if before is None or one.number < before]
        page = fitting[:limit]
        return page, page[-1].number if len(fitting) > limit else None
