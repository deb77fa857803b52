"""The file with which a server without configured tokens gives its operator power (PROTOCOL.md §2).

`serve` leaves a token in it, the command line of the same machine and user finds it there. Whatever
lies in a directory that others may write to is hostile: everything is opened relative to a
directory whose owner and mode were checked on its descriptor, no symbolic link is followed, and a
new file appears under its name complete or not at all.

Places are tried in this order: `$RUNTIME_DIRECTORY` (systemd's), `$XDG_RUNTIME_DIR/dscore`,
`/tmp/dscore-UID`.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

TMP = Path("/tmp")
RUN = Path("/run")
PROC = Path("/proc")
MAX_BYTES = 1024
"""Of a file that is read at all."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,512}")
_LISTEN = "0A"
"""A socket's state in /proc/net/tcp."""
_PRIVATE_DIRECTORY = 0o700
_PRIVATE_FILE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class TokenFile(NamedTuple):
    """A token, and where it lies."""

    path: Path
    token: str


class _Place(NamedTuple):
    path: Path
    is_made: bool
    """Made by dscore, 0700; else systemd's, whose mode is not ours to change, and which a link may
    lead to (DynamicUser)."""


def make_token() -> str:
    return secrets.token_urlsafe(32)


def leave(host: str, port: int, token: str, environ: Mapping[str, str]) -> TokenFile:
    """Leaves a token for the programs of this user, or takes the one that lies there.

    Args:
        host: The address that is listened on.
        port: Its port.
        token: What is left if nothing lies there.
        environ: Usually `os.environ`.

    Raises:
        OSError: It can be left nowhere; the message names each place and what is wrong with it.
    """
    name, user = _name(host, port), os.geteuid()
    failures = []
    for place in _places(environ, user):
        left = _leave(place, user, name, token)
        if isinstance(left, TokenFile):
            return left
        failures.append(f"{place.path}: {left}")
    raise OSError("; ".join(failures))


def withdraw(host: str, port: int, environ: Mapping[str, str]) -> None:
    """Removes what an earlier server left at this address: this one does not take it, and the
    command line would go on showing it.

    Args:
        host: The address that is listened on.
        port: Its port.
        environ: Usually `os.environ`.
    """
    name, user = _name(host, port), os.geteuid()
    for place in dict.fromkeys((*_places(environ, user), *_usual_places(user))):
        with suppress(OSError), _opened(place, user, make=False) as directory:
            os.unlink(name, dir_fd=directory)


def places(host: str, environ: Mapping[str, str]) -> list[Path]:
    """Where `find` looks for this user; root's looks go further."""
    user = os.geteuid()
    if not _listening(host):
        return []
    both = (*_places(environ, user), *_usual_places(user))
    return list(dict.fromkeys(place.path for place in both))


def find(host: str, port: int, environ: Mapping[str, str]) -> TokenFile | None:
    """The token that a server on this machine has left for this user; for root: for any.

    Args:
        host: Of the URL; nothing is found for one that is no loopback address and no "localhost".
    """
    user = os.geteuid()
    names = [_name(each, port) for each in _listening(host)]
    if not names:
        return None
    places = [*_places(environ, user), *_usual_places(user)]
    if user == 0:
        places += _places_of_others()
    for place in dict.fromkeys(places):
        with suppress(OSError), _opened(place, None if user == 0 else user, make=False) as opened:
            owner = os.fstat(opened).st_uid
            for name in names:
                found = _read(opened, name, owner)
                if found and _may_hear(owner, port):
                    return TokenFile(place.path / name, found)
    return None


def _leave(place: _Place, user: int, name: str, token: str) -> TokenFile | str:
    """The file in this place, or what is wrong with the place."""
    try:
        with _opened(place, user, make=True) as directory:
            found = _read(directory, name, user)
            if found is None:
                _write(directory, name, token)
    except OSError as error:
        return error.strerror or str(error)
    return TokenFile(place.path / name, found or token)


def _may_hear(owner: int, port: int) -> bool:
    """Whether everything that listens on a port is of the token's owner, or root's: another user
    may have taken the port while the server is down, or at another address of this machine, and
    would be given the token."""
    users = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError), (PROC / "net" / table).open() as rows:
            next(rows, None)
            for row in rows:
                fields = row.split()
                if fields[3] != _LISTEN:
                    break  # the listening ones come first, and there may be thousands of others
                if int(fields[1].rpartition(":")[2], 16) == port:
                    users.add(int(fields[7]))
    return users <= {owner, 0}


def _name(host: str, port: int) -> str:
    return f"operator-{host}-{port}.token"


def _listening(host: str) -> list[str]:
    """The addresses on which a server may listen that answers at this one."""
    if host.lower() == "localhost":
        return ["127.0.0.1", "::1", "0.0.0.0", "::"]
    try:
        address = ip_address(host)
    except ValueError:
        return []
    if not address.is_loopback:
        return []
    return [str(address), *(["0.0.0.0"] if address.version == 4 else []), "::"]


def _places(environ: Mapping[str, str], user: int) -> Iterator[_Place]:
    # Several, parted by colons, where the unit has several; relative ones are no systemd's.
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime.startswith("/"):
        yield _Place(Path(runtime), is_made=False)
    xdg = environ.get("XDG_RUNTIME_DIR", "")
    if xdg.startswith("/"):
        yield _Place(Path(xdg, "dscore"), is_made=True)
    yield _Place(TMP / f"dscore-{user}", is_made=True)


def _usual_places(user: int) -> Iterator[_Place]:
    """Where a server leaves it that was started with another environment than this one's."""
    yield _Place(RUN / "user" / str(user) / "dscore", is_made=True)
    yield _Place(RUN / "dscore", is_made=False)


def _places_of_others() -> Iterator[_Place]:
    for path in (*sorted(RUN.glob("user/*/dscore")), *sorted(TMP.glob("dscore-*"))):
        yield _Place(path, is_made=True)


@contextmanager
def _opened(place: _Place, user: int | None, *, make: bool) -> Iterator[int]:
    """A directory that only its owner writes to.

    Args:
        place: Which.
        user: Whose it must be; None: whose it may be is not asked.
        make: Make it where it is missing.
    """
    if make and place.is_made:
        with suppress(FileExistsError):
            place.path.mkdir(_PRIVATE_DIRECTORY)
    follow = os.O_NOFOLLOW if place.is_made else 0
    directory = os.open(place.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow)
    try:
        found = os.fstat(directory)
        if user is not None and found.st_uid != user:
            raise PermissionError(f"belongs to user {found.st_uid}, not to user {user}")
        if make and place.is_made and found.st_mode & _OTHERS:
            os.fchmod(directory, _PRIVATE_DIRECTORY)
            found = os.fstat(directory)
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError("others may write to it")
        yield directory
    finally:
        os.close(directory)


def _read(directory: int, name: str, owner: int) -> str | None:
    """The token in a file of the directory; None: there is none that only its owner can know."""
    try:
        file = os.open(name, _READ, dir_fd=directory)
    except OSError:
        return None
    try:
        found = os.fstat(file)
        is_private = found.st_uid == owner and not found.st_mode & _OTHERS and found.st_nlink == 1
        if not stat.S_ISREG(found.st_mode) or not is_private or found.st_size > MAX_BYTES:
            return None
        text = os.read(file, MAX_BYTES).decode("ascii", "replace").strip()
    finally:
        os.close(file)
    return text if _TOKEN.fullmatch(text) else None


def _write(directory: int, name: str, token: str) -> None:
    """Written beside it and renamed: a reader finds all of it, and a link there is replaced."""
    partial = f".{name}.{secrets.token_hex(8)}"
    file = os.open(partial, _CREATE, _PRIVATE_FILE, dir_fd=directory)
    try:
        try:
            # The mask of the process may have left less than the owner needs.
            os.fchmod(file, _PRIVATE_FILE)
            os.write(file, f"{token}\n".encode())
        finally:
            os.close(file)
        os.replace(partial, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):
            os.unlink(partial, dir_fd=directory)
        raise
