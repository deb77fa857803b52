"""What may stand where a file is asked for."""

import os
from pathlib import Path

KINDS = ("pipe", "device", "folder", "too long")


def odd_file(folder: Path, kind: str) -> Path:
    """A pipe without a writer, a device without an end, a folder, or 16 MiB: more than is read."""
    path = folder / kind.replace(" ", "-")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 16 * 1024 * 1024)
    return path
