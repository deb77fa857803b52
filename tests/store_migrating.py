"""Brings a file to the present tables and kills itself on the way, for a test of what is left:
`python store_migrating.py PATH STEPS`, after so many thousand steps of SQLite's machine."""

import os
import signal
import sqlite3
import sys

from dscore.store import schema


def migrate(path: str, steps: int) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    # As small as the store's own: what does not fit goes to the log before the commit.
    db.execute("PRAGMA cache_size = -400")
    left = iter(range(steps))
    db.set_progress_handler(
        lambda: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL), 1000
    )
    schema.migrate(db)


if __name__ == "__main__":
    migrate(sys.argv[1], int(sys.argv[2]))
