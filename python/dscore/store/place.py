"""Where a store's file is: held for one server, and noticed when it is not there any more.

Two locks. One on the file itself, whatever name it is reached by (a link, another spelling): two
servers would undo each other's changes. One on a file beside it, `PATH.lock`, so that no other
server takes the place of a file that was removed while its server goes on.

Invariant: while SQLite has the file open, no descriptor of it is closed here: that would end
    SQLite's own locks (POSIX locks go with the first close of any descriptor).
"""

import errno
import fcntl
import os
import shutil
import time
from contextlib import suppress

MODE = 0o600
"""Of all that is made here; SQLite gives its own files that of the database."""
BESIDE = ("", "-wal", "-shm")
"""The files of one database."""

_IN_USE = "another server uses it; choose another --store"


class Place:
    """One path, resolved and held. For one thread."""

    def __init__(self, path: str) -> None:
        """Touches nothing yet."""
        # Not relative: a process may change its directory.
        self._path = os.path.abspath(path)
        self.real = self._path
        """The file without links, since it is held."""
        self._file = -1
        self._lock = -1
        self._new_lock: str | None = None
        """The lock file, if it was not there before."""
        self._beside: list[tuple[int, int] | None] = []

    def hold(self) -> None:
        """Makes the file if there is none, and holds it.

        Raises:
            OSError: it cannot be had; another server has it.
        """
        self.real = os.path.realpath(self._path)
        if os.path.isdir(self.real):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        beside = f"{self.real}.lock"
        is_new = not os.path.exists(beside)
        self._lock = _open_locked(beside)
        if is_new:
            self._new_lock = beside
        try:
            self._file = _open_locked(self.real)
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Lets go of a file that was none of ours, and leaves nothing beside it."""
        if self._new_lock is not None:
            with suppress(OSError):
                os.unlink(self._new_lock)
        self.let_go()

    def let_go(self) -> None:
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1
        self._new_lock = None

    def opened(self) -> None:
        """SQLite has it open: its other files are watched from here on."""
        self._beside = [_identity(f"{self.real}{suffix}") for suffix in BESIDE[1:]]

    def closed(self) -> None:
        """SQLite has let go of it."""
        self._beside = []

    def missing(self) -> str | None:
        """What is wrong, in a few words: the file is not the one that is held; None: nothing is."""
        if self._file < 0:
            return None
        if os.path.realpath(self._path) != self.real:
            return "its path leads elsewhere"
        held = os.fstat(self._file)
        found = _identity(self.real)
        if found is None:
            return "its file was removed or moved"
        if found != (held.st_dev, held.st_ino):
            return "its file was replaced"
        for suffix, watched in zip(BESIDE[1:], self._beside, strict=False):
            if watched is not None and _identity(f"{self.real}{suffix}") != watched:
                return f"its {suffix} file was removed or replaced"
        return None

    def restore(self) -> str | None:
        """Writes the content of the file that is held to where it should be, and holds that. SQLite
        must have closed it, with nothing left in its log.

        Returns:
            Where a foreign file that was in its place is now.

        Raises:
            OSError: it cannot be written there, or another server is there.
        """
        real = os.path.realpath(self._path)
        os.makedirs(os.path.dirname(real), mode=0o700, exist_ok=True)
        lock = self._relock(real)
        partial = f"{real}.{os.getpid()}.partial"
        aside = None
        try:
            copy = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
            try:
                fcntl.flock(copy, fcntl.LOCK_EX)
                _copy(self._file, copy)
                aside = self._put_aside(real)
                os.replace(partial, real)
            except BaseException:
                os.close(copy)
                raise
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            if lock != self._lock:
                os.close(lock)
            raise
        os.close(self._file)
        if lock != self._lock:
            os.close(self._lock)
        self._file, self._lock, self.real = copy, lock, real
        return aside

    def _relock(self, real: str) -> int:
        """The lock beside the file, taken anew if it is not there any more."""
        held, found = os.fstat(self._lock), _identity(f"{real}.lock")
        if found == (held.st_dev, held.st_ino):
            return self._lock
        return _open_locked(f"{real}.lock")

    def _put_aside(self, real: str) -> str | None:
        """Takes what is in the file's place out of the way: it may be wanted, and a log that is
        not its own would ruin a database."""
        held, found = os.fstat(self._file), _identity(real)
        is_foreign = found is not None and found != (held.st_dev, held.st_ino)
        if not is_foreign:
            for suffix in BESIDE[1:]:
                with suppress(FileNotFoundError):
                    os.unlink(f"{real}{suffix}")
            return None
        other = os.open(real, os.O_RDWR | os.O_CLOEXEC)
        try:
            _flock(other)
        finally:
            os.close(other)
        aside = f"{real}.replaced-{time.time_ns()}"
        for suffix in BESIDE:
            with suppress(FileNotFoundError):
                os.replace(f"{real}{suffix}", f"{aside}{suffix}")
        return aside

    @property
    def is_open_to_others(self) -> bool:
        """Whether others than its owner may read it."""
        return bool(os.fstat(self._file).st_mode & 0o077)


def _open_locked(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        _flock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _flock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EBUSY, _IN_USE) from None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _copy(source: int, target: int) -> None:
    os.lseek(source, 0, os.SEEK_SET)
    # Not closed: both descriptors are held on.
    with open(source, "rb", closefd=False) as read, open(target, "wb", closefd=False) as write:
        shutil.copyfileobj(read, write, 1 << 20)
    os.fsync(target)
