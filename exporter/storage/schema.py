"""The database file: its tables, and how it is opened and locked.

It is an SQLite database in WAL mode. With ``synchronous=FULL`` every commit reaches the disk, and survives a power loss
(https://sqlite.org/pragma.html#pragma_synchronous). ``locking_mode=EXCLUSIVE`` locks out all other processes while this
one runs, and avoids the shared memory of WAL mode (https://sqlite.org/wal.html#noshm).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from exporter.errors import StorageError
from exporter.storage.problems import Problem, described

FILE_NAME: Final = "clipper-exporter.db"
FORMAT: Final = 1

_APPLICATION: Final = 0x436C6970  # "Clip": https://sqlite.org/pragma.html#pragma_application_id
_WAL_BYTES: Final = 4 * 1024 * 1024  # the size to which a checkpoint truncates the log
_SCHEMA: Final = f"""
    PRAGMA application_id = {_APPLICATION};
    PRAGMA user_version = {FORMAT};
    CREATE TABLE about (key TEXT PRIMARY KEY, value);
    CREATE TABLE streamers (streamer TEXT PRIMARY KEY, clips INTEGER NOT NULL);
    CREATE TABLE triggers (
        streamer TEXT, type TEXT, count INTEGER NOT NULL, newest REAL, PRIMARY KEY (streamer, type)
    );
    CREATE TABLE clips_today (streamer TEXT PRIMARY KEY, clips INTEGER NOT NULL);
    CREATE TABLE recent (
        place INTEGER PRIMARY KEY, streamer TEXT NOT NULL, type TEXT NOT NULL, at REAL NOT NULL, details TEXT NOT NULL
    );
    CREATE TABLE ids (number INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL);
"""


def prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Lock and check the file, and create the tables if it is empty.

    Raises ``sqlite3.Error``, or :class:`~exporter.errors.StorageError` for a file of another program or newer version.
    """
    execute = connection.execute
    execute("PRAGMA locking_mode = EXCLUSIVE")
    if not path.stat().st_size:  # only possible before the first table; would change another program's file
        execute("PRAGMA auto_vacuum = INCREMENTAL")
    with transaction(connection, "EXCLUSIVE"):
        application, version = (execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        new = application == version == 0 and execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not new and application != _APPLICATION:
            message = "the file is the database of another program; choose another folder"
            raise StorageError(path, message, Problem.FOREIGN)
        if version > FORMAT:
            message = (
                f"the file has format {version}, of a newer clipper-exporter (this one knows up to {FORMAT});"
                " run the newer one, or move the file away to start a new one"
            )
            raise StorageError(path, message, Problem.NEWER)
        if new:
            for statement in _SCHEMA.split(";"):
                execute(statement)
    execute("PRAGMA journal_mode = WAL")
    execute("PRAGMA synchronous = FULL")
    execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    found = execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise described(path, sqlite3.DatabaseError(found))
    execute("PRAGMA incremental_vacuum").fetchall()


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Commit the statements of the context, or roll them back if it raises."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
