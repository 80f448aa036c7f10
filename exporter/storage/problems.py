"""Problems of the storage's folder and file, with advice for each."""

from __future__ import annotations

import errno
import sqlite3
from enum import StrEnum
from pathlib import Path
from typing import Final

from exporter.errors import StorageError


class Problem(StrEnum):
    """Why counters cannot be stored: the values of the ``reason`` label."""

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
    Problem.FULL: "the disk is full; free some space, and the counters of the meantime are stored too",
    Problem.UNWRITABLE: (
        "not writable; allow the exporter's user to write the folder and its files,"
        " and check that the file system is not read-only"
    ),
    Problem.DAMAGED: "the file is damaged; restore a backup, or move the file away to start a new one",
    Problem.FOREIGN: ("the file is not a database; move it away, or choose another folder"),
    Problem.LOCKED: "another exporter writes here; give each exporter its own folder",
    Problem.IO: "reading or writing failed; look for disk errors in the system's log",
}
_BY_CODE: Final = {
    sqlite3.SQLITE_FULL: Problem.FULL,
    sqlite3.SQLITE_READONLY: Problem.UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: Problem.UNWRITABLE,
    sqlite3.SQLITE_PERM: Problem.UNWRITABLE,
    sqlite3.SQLITE_NOTADB: Problem.FOREIGN,
    sqlite3.SQLITE_BUSY: Problem.LOCKED,
    sqlite3.SQLITE_LOCKED: Problem.LOCKED,
    sqlite3.SQLITE_IOERR: Problem.IO,
}
_BY_ERRNO: Final = {
    errno.ENOSPC: Problem.FULL,
    errno.EACCES: Problem.UNWRITABLE,
    errno.EPERM: Problem.UNWRITABLE,
    errno.EROFS: Problem.UNWRITABLE,
}


def described(path: Path, problem: Exception) -> StorageError:
    """Return the error for a ``problem`` of SQLite or the system with ``path``, including what to do."""
    if isinstance(problem, OSError):
        kind = _BY_ERRNO.get(problem.errno or 0, Problem.IO)
    else:
        # The low byte is the primary code: https://sqlite.org/rescode.html. Other exceptions mean wrong content: text
        # that is not UTF-8, a missing table, a counter that is not a number.
        code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        kind = _BY_CODE.get(code, Problem.DAMAGED)
    return StorageError(path, f"{_ADVICE[kind]} ({problem})", kind)
