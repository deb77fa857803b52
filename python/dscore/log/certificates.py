"""What a line tells of a certificate, whose owner chose how many names it has, and how long."""

from collections.abc import Sequence

MAX_NAMES = 8
MAX_NAME = 256
"""Characters."""


def certificate_fields(names: Sequence[str]) -> dict[str, list[str]]:
    """The field for these names; none where no certificate was shown."""
    return {"certificate_names": [name[:MAX_NAME] for name in names[:MAX_NAMES]]} if names else {}
