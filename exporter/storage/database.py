"""The database file: loads the counters at the start, and writes changes with each commit."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self

from exporter.errors import StorageError, shown
from exporter.storage.problems import Problem, described
from exporter.storage.schema import FILE_NAME, prepare, transaction
from exporter.store.counters import Counted, Counts
from exporter.store.event_ids import CAPACITY
from exporter.store.triggers import Trigger

_VARIABLES: Final = 8000  # per statement, for thousands of rows
_TIMES_END: Final = 253402300800.0  # Unix time of the year 10000, which ISO 8601 cannot write
LOCK_WAIT: Final = 5.0  # seconds to wait for an exporter that is stopping to unlock the file


class Database:
    """The open file. Use it only from the thread that opened it.

    All methods raise :class:`~exporter.errors.StorageError`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._file = path.stat().st_ino
        self._variables = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)

    @classmethod
    def open(cls, folder: Path, lock_wait: float = LOCK_WAIT) -> Self:
        """Open and lock the file in ``folder``; creates both if missing.

        Waits up to ``lock_wait`` seconds if another exporter has the file open.
        """
        path = folder / FILE_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # SQLite would open it read-only, and fail later with another error.
            if not all(os.access(each, os.W_OK) for each in (folder, path) if each.exists()):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except (FileExistsError, NotADirectoryError):
            raise StorageError(
                folder, "not a folder: this path, or a part of it, is a file", Problem.NO_FOLDER
            ) from None
        except OSError as problem:
            raise described(folder, problem) from None
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(path, timeout=lock_wait, isolation_level=None)
            prepare(path, connection)
            return cls(path, connection)
        except (sqlite3.Error, OSError) as problem:
            if connection is not None:
                connection.close()
            raise (problem if isinstance(problem, StorageError) else described(path, problem)) from None

    def load(self) -> tuple[str | None, Counted]:
        """Return the ``instance`` of the store that wrote the file, and all its counters."""
        try:
            return self._load()
        except (sqlite3.Error, TypeError, ValueError, LookupError, RecursionError) as problem:
            raise described(self._path, problem) from None

    def _load(self) -> tuple[str | None, Counted]:
        execute = self._connection.execute
        about = dict(execute("SELECT key, value FROM about"))
        rows: dict[str, Counts | None] = {}
        for streamer, clips in execute("SELECT streamer, clips FROM streamers ORDER BY rowid"):
            rows[_text(streamer)] = Counts(_count(clips), {}, {})
        for streamer, kind, count, newest in execute(
            "SELECT streamer, type, count, newest FROM triggers ORDER BY rowid"
        ):
            counts: Any = rows[streamer]
            counts.triggers[_text(kind)] = _count(count)
            if newest is not None:
                counts.last_triggers[kind] = _time(newest)
        recent = tuple(
            Trigger(_text(streamer), _text(kind), _time(at), _details(details))
            for streamer, kind, at, details in execute("SELECT streamer, type, at, details FROM recent ORDER BY place")
        )
        ids = execute("SELECT number, source, id FROM ids ORDER BY number").fetchall()
        today = execute("SELECT streamer, clips FROM clips_today ORDER BY rowid")
        return about.get("instance"), Counted(
            whole=True,
            rows=rows,
            clips_today={_text(streamer): _count(clips) for streamer, clips in today},
            day_ends=float(about.get("day_ends", 0)),
            recent=recent,
            ids=[(_text(source), _text(name)) for _, source, name in ids],
            ids_total=ids[-1][0] if ids else 0,
        )

    def write(self, counted: Counted, instance: str) -> None:
        """Commit the changes of the store ``instance``, all or none of them."""
        if not self._is_there():
            # Writing to an open file that was removed succeeds, but the data is lost.
            message = (
                "the file was moved or removed while in use; put it back, or restart the exporter to start a new one"
            )
            raise StorageError(self._path, message, Problem.GONE)
        try:
            with transaction(self._connection):
                self._write(counted, instance)
        except sqlite3.Error as problem:
            raise described(self._path, problem) from None

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_ino == self._file
        except FileNotFoundError:
            return False
        except OSError as problem:
            raise described(self._path, problem) from None

    def _write(self, counted: Counted, instance: str) -> None:
        if counted.whole:
            for clearing in ("DELETE FROM streamers", "DELETE FROM triggers", "DELETE FROM clips_today"):
                self._connection.execute(clearing)
        else:
            gone = [(name,) for name, counts in counted.rows.items() if counts is None]
            spent = [(name,) for name, clips in counted.clips_today.items() if not clips]
            self._many("DELETE FROM triggers WHERE streamer IN (VALUES", [(name,) for name in counted.rows], ")")
            self._many("DELETE FROM streamers WHERE streamer IN (VALUES", gone, ")")
            self._many("DELETE FROM clips_today WHERE streamer IN (VALUES", spent, ")")
        held = [(name, counts) for name, counts in counted.rows.items() if counts is not None]
        replace = "ON CONFLICT (streamer) DO UPDATE SET clips = excluded.clips"
        self._many("INSERT INTO streamers VALUES", [(name, counts.clips) for name, counts in held], replace)
        self._many(
            "INSERT INTO triggers VALUES",
            [
                (name, kind, count, counts.last_triggers.get(kind))
                for name, counts in held
                for kind, count in counts.triggers.items()
                if count
            ],
        )
        today = [(name, clips) for name, clips in counted.clips_today.items() if clips]
        self._many("INSERT INTO clips_today VALUES", today, replace)
        self._connection.execute("DELETE FROM recent")
        self._many("INSERT INTO recent VALUES", [(place, *trigger) for place, trigger in enumerate(counted.recent)])
        first = counted.ids_total - len(counted.ids) + 1
        self._many("INSERT INTO ids VALUES", [(first + at, *event) for at, event in enumerate(counted.ids)])
        if counted.ids:
            self._connection.execute("DELETE FROM ids WHERE number <= ?", (counted.ids_total - CAPACITY,))
        about = [("instance", instance), ("day_ends", counted.day_ends)]
        self._many("INSERT OR REPLACE INTO about VALUES", about)

    def _many(self, statement: str, rows: Sequence[Sequence[Any]], rest: str = "") -> None:
        """Execute ``statement`` followed by ``rows`` as values and by ``rest``.

        Uses few statements with many rows each: the thread releases the GIL around each statement, and waits 5 ms to
        get it back while another thread computes.
        """
        at_once = min(self._variables, _VARIABLES) // len(rows[0]) if rows else 1
        for at in range(0, len(rows), at_once):
            some = rows[at : at + at_once]
            row = f"({', '.join('?' * len(some[0]))})"
            self._connection.execute(f"{statement} {', '.join([row] * len(some))} {rest}", list(chain(*some)))

    def close(self) -> None:
        """Close and unlock the file; commits stay."""
        with suppress(sqlite3.Error):
            self._connection.close()


# A column holds values of any type: https://sqlite.org/datatype3.html. A value of a wrong type is treated as
# corruption when it is loaded; otherwise a scrape would fail later.


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {shown(value)}")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"expected a whole number of at least 0, got {shown(value)}")
    return value


def _time(value: object) -> float:
    if not isinstance(value, float) or not 0 <= value < _TIMES_END:
        raise ValueError(f"expected a Unix time, got {shown(value)}")
    return value


def _details(value: object) -> str:
    text = _text(value)
    if not isinstance(json.loads(text), dict):
        raise TypeError(f"expected a JSON object, got {shown(value)}")
    return text
