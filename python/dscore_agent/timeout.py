"""`timeout`, on every Python.

Not `wait_for`: before Python 3.12 it returns its result where a cancellation comes as the work
ends, so the cancellation is lost, and the task that was cancelled goes on.
"""

import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout

__all__ = ["timeout"]
