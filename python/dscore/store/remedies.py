"""Why a store cannot be opened, and what to do about it: one line for a person."""

import errno
import os
import sqlite3

from dscore.store.schema import TooNewError


def why_not(path: str, error: Exception) -> str:
    """The cause and its remedy."""
    return f"cannot open the store {path}: {_cause(error)}{_remedy(path, error)}"


def _cause(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        # Without its number and its path, which is named already.
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error)


def _remedy(path: str, error: Exception) -> str:
    remedy = _of_os(path, error) if isinstance(error, OSError) else _of_sqlite(path, error)
    return f"; {remedy}" if remedy else ""


def _of_os(path: str, error: OSError) -> str:
    directory = os.path.dirname(os.path.abspath(path))
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"make the directory {directory}, or choose another --store"
        case errno.EISDIR:
            return (
                f"it is a directory: name a file in it, --store {os.path.join(path, 'dscore.db')}"
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"give the server's user the right to write {path} and in {directory}"
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "make room on its disk, or choose another --store"
        case errno.ELOOP:
            return "its links lead in a circle: name the file itself"
        case errno.EMFILE | errno.ENFILE:
            return "raise the limit of open files"
    return ""


def _of_sqlite(path: str, error: Exception) -> str:
    said = str(error)
    if isinstance(error, TooNewError):
        return "run the dscore that wrote it or a later one, or choose another --store"
    if "not a database" in said:
        return "move it away, or choose another --store"
    if "malformed" in said or "corrupt" in said:
        return f"save what can be read with `sqlite3 {path} .recover`, or move it away"
    if "locked" in said or "busy" in said:
        return "end the program that has it open, or choose another --store"
    if "full" in said:
        return "make room on its disk, or choose another --store"
    if "readonly" in said or "unable to open" in said:
        directory = os.path.dirname(os.path.abspath(path))
        return f"give the server's user the right to write {path} and in {directory}"
    if "disk I/O error" in said:
        return "look at the disk and the limits of the process (ulimit -f)"
    if isinstance(error, sqlite3.Error):
        return "move it away, or choose another --store"
    return ""
