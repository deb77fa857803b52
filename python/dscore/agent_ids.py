"""What an agent id is, wherever one is named (PROTOCOL.md §2): messages, paths, the command line.

The core has the same rule; `tests/vectors/agent_ids.json` holds both to it.
"""

import re

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's `White_Space`. `str.strip` alone takes the separators 0x1c to 0x1f as well, which
are control characters."""

MAX_AGENT_ID = 128
"""Bytes of UTF-8."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc."""


def trimmed(agent_id: str) -> str:
    """An agent id as it was given, without the white space at its ends."""
    # Printable, so of white space it can only have the blank: most ids are known at once.
    if agent_id.isprintable() and agent_id[:1] != " " and agent_id[-1:] != " ":
        return agent_id
    return agent_id.strip(WHITE_SPACE)


def has_control(agent_id: str) -> bool:
    """Whether a control character is in it: then it is no agent's."""
    return not agent_id.isprintable() and _CONTROL.search(agent_id) is not None
