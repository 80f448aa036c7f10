"""The file that counters are kept in: its tables, and how it is taken hold of.

It is an SQLite database in WAL mode. ``synchronous=FULL`` has every commit reach the disk, so that it outlives a loss
of power too (https://sqlite.org/pragma.html#pragma_synchronous). ``locking_mode=EXCLUSIVE`` keeps every other process
out for as long as this one lives, and spares the shared memory of WAL mode (https://sqlite.org/wal.html#noshm).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from exporter.errors import StorageError
from exporter.storage.problems import Trouble, described

FILE_NAME: Final = "clipper-exporter.db"
FORMAT: Final = 1

_APPLICATION: Final = 0x436C6970  # "Clip": https://sqlite.org/pragma.html#pragma_application_id
_WAL_BYTES: Final = 4 * 1024 * 1024  # what the log is cut back to once it was copied into the database
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


def take(path: Path, connection: sqlite3.Connection) -> None:
    """Take hold of the file, an empty one too, and refuse one that is not ours to write.

    Raises ``sqlite3.Error`` and :class:`~exporter.errors.StorageError`.
    """
    execute = connection.execute
    execute("PRAGMA locking_mode = EXCLUSIVE")
    if not path.stat().st_size:  # later it is too late, and on a file of another's it would be written
        execute("PRAGMA auto_vacuum = INCREMENTAL")
    with transaction(connection, "EXCLUSIVE"):
        application, version = (execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        new = application == version == 0 and execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not new and application != _APPLICATION:
            message = "expected a database of clipper-exporter, this is another program's; name another folder"
            raise StorageError(path, message, Trouble.FOREIGN)
        if version > FORMAT:
            message = (
                f"expected format {FORMAT} or older, this is format {version}, of a newer clipper-exporter;"
                " run that one, or move the file away to begin a new one"
            )
            raise StorageError(path, message, Trouble.NEWER)
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
    """Commit what is done in the context, or undo it if it fails."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
