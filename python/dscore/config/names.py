"""Which settings there are."""

from collections.abc import Mapping
from types import MappingProxyType

from dscore.config.models import Config
from dscore.config.nearest import dotted, sections_of

SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(dict(sections_of(Config)))
"""Section -> its keys, in the order of the models."""

KEYS: tuple[str, ...] = dotted(SECTIONS)
"""Every setting by its dotted name."""
