"""Tokens: who may introduce itself, who may watch, who may operate.

`grant` is what an accepted token is good for, `tokens` those of files and lists, `web_tokens`
signed ones, `keyring` all of them together.
"""

from dscore.auth.grant import Grant, Role
from dscore.auth.keyring import Keyring, has_operator_tokens, has_operators, read_keyring
from dscore.auth.tokens import GENERATED, MAX_TOKEN_BYTES, Tokens, readable_token_files

__all__ = [
    "GENERATED",
    "MAX_TOKEN_BYTES",
    "Grant",
    "Keyring",
    "Role",
    "Tokens",
    "has_operator_tokens",
    "has_operators",
    "read_keyring",
    "readable_token_files",
]
