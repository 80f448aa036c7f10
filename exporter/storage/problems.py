"""What can be wrong with a folder or file that counters are kept in, and what a person can do about each."""

from __future__ import annotations

import errno
import sqlite3
from enum import StrEnum
from pathlib import Path
from typing import Final

from exporter.errors import StorageError


class Trouble(StrEnum):
    """Why counters cannot be kept: the values of the ``reason`` label."""

    FULL = "full"
    UNWRITABLE = "unwritable"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    NEWER = "newer"
    LOCKED = "locked"
    NO_FOLDER = "no_folder"
    GONE = "gone"
    IO = "io_error"


_ADVICE: Final = {
    Trouble.FULL: "the disk is full; free some space, and what was counted meanwhile is kept as well",
    Trouble.UNWRITABLE: (
        "not writable; give the exporter's user the right to write the folder and its files,"
        " on a file system that is not read-only"
    ),
    Trouble.DAMAGED: "the file is damaged; put a backup in its place, or move it away to begin a new one",
    Trouble.FOREIGN: (
        "expected a database of clipper-exporter, this is no database; move it away, or name another folder"
    ),
    Trouble.LOCKED: "another exporter writes here; give each exporter a folder of its own",
    Trouble.IO: "reading or writing failed; look for errors of the disk in the system's log",
}
_BY_CODE: Final = {
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: Trouble.UNWRITABLE,
    sqlite3.SQLITE_PERM: Trouble.UNWRITABLE,
    sqlite3.SQLITE_NOTADB: Trouble.FOREIGN,
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_IOERR: Trouble.IO,
}
_BY_ERRNO: Final = {
    errno.ENOSPC: Trouble.FULL,
    errno.EACCES: Trouble.UNWRITABLE,
    errno.EPERM: Trouble.UNWRITABLE,
    errno.EROFS: Trouble.UNWRITABLE,
}


def described(path: Path, problem: Exception) -> StorageError:
    """The error that tells a person what ``problem``, of SQLite or the system, means for ``path``, and what to do."""
    if isinstance(problem, OSError):
        trouble = _BY_ERRNO.get(problem.errno or 0, Trouble.IO)
    else:
        # The low byte is the kind, the rest its details: https://sqlite.org/rescode.html. What has no code is content
        # that cannot be: text that is no UTF-8, a table that is missing, a counter that is no number.
        code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        trouble = _BY_CODE.get(code, Trouble.DAMAGED)
    return StorageError(path, f"{_ADVICE[trouble]} ({problem})", trouble)
