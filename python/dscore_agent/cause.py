"""Why a server was not reached, in a sentence for the log."""

import errno
import os
import ssl
from urllib.parse import urlsplit

from dscore_agent import clock_check, tls
from dscore_agent.dial import Dialer


async def of(error: BaseException, url: str, dialer: Dialer) -> str:
    """What an error means for the one who set the agent up.

    Args:
        error: Of an attempt, or of a look at the health page.
        url: What was asked.
        dialer: Makes one more connection, where a clock may be wrong.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if tls.is_about_dates(error):
        dates = await clock_check.explain(host, parts.port or 443, dialer)
        if dates is not None:
            return dates
    return tls.sentence(error, host) or _plain(error)


def _plain(error: BaseException) -> str:
    # TLS has numbers of its own.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        if error.errno is not None and error.errno in errno.errorcode:
            return os.strerror(error.errno)
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
