"""Counters that outlive the process: one thread that writes to disk what a store has counted."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from exporter.errors import StorageError
from exporter.storage.database import LOCK_WAIT, Database
from exporter.storage.health import Health
from exporter.storage.problems import Trouble
from exporter.store.counters import Counted
from exporter.store.store import Store

GATHER: Final = 0.05  # seconds that changes are gathered for one commit, so that it is done within 0.1
RETRY: Final = 2.0  # seconds after a failure
_EVERYTHING: Final = -1  # the version before all: the journal tells everything to a follower from there
_CLOSING: Final = 5.0  # seconds that the last commit may take
_REFUSED: Final = frozenset({Trouble.LOCKED, Trouble.NO_FOLDER})


class Storage:
    """Keeps what ``store`` has counted in a folder, and gives it back to the store at the start.

    Everything changed since the last commit goes to disk in one commit, ``gather`` seconds after the first change, or
    at once if somebody waits for it. What cannot be kept is logged, counted, and tried again every ``retry`` seconds;
    the store goes on meanwhile. Raises :class:`~exporter.errors.StorageError` for what is a mistake of whoever named
    the folder: it is a file, or another exporter's, which is waited for ``lock_wait`` seconds.
    """

    def __init__(
        self,
        store: Store,
        folder: str | os.PathLike[str],
        *,
        gather: float = GATHER,
        retry: float = RETRY,
        lock_wait: float = LOCK_WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._folder = Path(folder)
        self._gather = gather
        self._retry = retry
        self._lock_wait = lock_wait
        self._health = Health(self._folder, clock)
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []
        self._cursor = store.follow(_EVERYTHING)
        self._armed = False
        self._changed: queue.SimpleQueue[None] = queue.SimpleQueue()  # unlike an Event, safe in signal handlers
        self._hurry = threading.Event()
        self._tried = threading.Event()
        self._ending = False
        self._refused: StorageError | None = None
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="clipper-exporter-storage", daemon=True)
        self._thread.start()
        self._tried.wait()
        if self._refused is not None:
            raise self._refused
        atexit.register(self.close)

    # -- for any thread

    def committed(self) -> Future[None]:
        """A future that is done once all that was counted so far is on disk, or has failed: it can wait no longer.

        It fails with :class:`~exporter.errors.StorageError`, at once while nothing can be kept. What failed is kept
        later, if that becomes possible.
        """
        future: Future[None] = Future()
        with self._lock:
            problem = self._health.problem or (None if self._alive() else self._gone())
            if problem is None:
                self._waiting.append(future)
        if problem is not None:
            future.set_exception(problem)
        else:
            self._hurry.set()
            self._changed.put(None)
        return future

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was counted so far is on disk, ``timeout`` seconds at most; tells whether it is."""
        try:
            self.committed().result(timeout)
        except (TimeoutError, StorageError):
            return False
        return True

    def numbers(self) -> Mapping[str, Any]:
        """The numbers about the storage, by the ``field`` of the families that show them."""
        return self._health.numbers(alive=self._alive())

    def close(self) -> None:
        """Commit what is left and let go of the file. Closing twice is fine."""
        atexit.unregister(self.close)
        if os.getpid() != self._process:  # a fork has no such thread, and must leave the file alone
            return
        self._ending = True
        self._hurry.set()
        self._changed.put(None)
        self._thread.join(_CLOSING)

    def _alive(self) -> bool:
        return self._thread.is_alive() and not self._ending and os.getpid() == self._process

    def _gone(self) -> StorageError:
        return StorageError(self._folder, "closed", Trouble.GONE)

    # -- the writer

    def _run(self) -> None:
        database: Database | None = None
        waiting: list[Future[None]] = []
        try:
            while True:
                last = self._ending
                waiting = self._look()
                try:
                    database = database or self._open()
                    self._commit(database)
                except StorageError as problem:
                    self._health.failed(problem)
                    # Only at first: later, a file that is locked may be one that somebody is mending.
                    if not self._tried.is_set() and problem.reason in _REFUSED:
                        self._refused, last = problem, True
                else:
                    self._health.succeeded()
                _tell(waiting, self._health.problem)
                self._tried.set()
                if last:
                    return
                self._wait()
        finally:
            with self._lock:
                self._ending = True
                waiting += self._waiting
            _tell(waiting, self._gone())
            self._tried.set()
            if database is not None:
                database.close()

    def _wait(self) -> None:
        if self._health.problem is None:
            self._changed.get()
            self._hurry.wait(self._gather)
        else:
            self._hurry.wait(self._retry)
        # Before the store is asked: what changes from here on wakes this thread again.
        with suppress(queue.Empty):
            while True:
                self._changed.get_nowait()
        self._hurry.clear()

    def _look(self) -> list[Future[None]]:
        """Be told of the next change, once, and return those who wait for the changes up to now."""
        if not self._armed:
            self._armed = True
            self._store.on_next_change(self._wake)
        self._health.looked()
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def _wake(self) -> None:
        # By the thread that changes the store, which must not wait: no lock here.
        self._armed = False
        self._health.changed()
        self._changed.put(None)

    def _open(self) -> Database:
        database = Database.open(self._folder, self._lock_wait)
        try:
            instance, earlier = database.load()
        except StorageError:
            database.close()
            raise
        if instance != self._store.instance:  # else it is what this very store has counted, and still has
            self._store.restore(earlier)
        self._cursor.ids = earlier.ids_total
        return database

    def _commit(self, database: Database) -> None:
        known, ids = self._cursor.version, self._cursor.ids
        counted = Counted.of(self._cursor.take())
        try:
            if not counted.empty:
                database.write(counted, self._store.instance)
                self._health.committed()
        except StorageError:
            self._cursor.version, self._cursor.ids = known, ids  # all of it again, at the next attempt
            raise


def _tell(waiting: list[Future[None]], problem: StorageError | None) -> None:
    for future in waiting:
        if not future.done() and future.set_running_or_notify_cancel():
            if problem is None:
                future.set_result(None)
            else:
                future.set_exception(problem)
