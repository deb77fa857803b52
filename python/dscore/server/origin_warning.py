"""A word on settings that let every web page in."""

from dscore.config import Config
from dscore.log import get_logger

_log = get_logger("dscore.server")


def warn_of_every_origin(config: Config) -> None:
    """Says so where any page may reach a server that asks for no tokens."""
    if "*" in config.socket.cors_origins and not config.auth.required:
        _log.warning(
            "every_origin_let_in",
            setting="socket.cors_origins",
            message="any web page may reach this server, and take an agent's name or watch",
            remedy='name the pages\' origins, or "self", or set auth.required',
        )
