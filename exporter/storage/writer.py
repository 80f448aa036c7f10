"""The storage: one thread that writes a store's counters to disk."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

from exporter.errors import StorageError
from exporter.own_metrics import OwnMetrics
from exporter.storage.database import LOCK_WAIT, Database
from exporter.storage.problems import Problem
from exporter.storage.status import StorageStatus
from exporter.store.counters import Counted
from exporter.store.store import Store

GATHER: Final = 0.05  # seconds of changes per commit, so that it is done within 0.1
RETRY: Final = 2.0  # seconds after a failure
_BEFORE_ALL: Final = -1  # a version before the first, from which a cursor gets everything
_CLOSE_SECONDS: Final = 5.0  # the longest that a close waits for the last commit, in seconds
_REFUSED: Final = frozenset({Problem.LOCKED, Problem.NO_FOLDER})


class Storage:
    """Stores the counters of ``store`` in a folder, and restores them at the start.

    All changes since the last commit are written in one commit, ``gather`` seconds after the first change, or at once
    if a caller waits. Failures are logged and counted, and retried every ``retry`` seconds; the store works meanwhile.
    Raises :class:`~exporter.errors.StorageError` if ``folder`` is a file, or if another exporter still uses it after
    ``lock_wait`` seconds.
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
        own: OwnMetrics | None = None,
    ) -> None:
        self._store = store
        self._folder = Path(folder)
        self._gather = gather
        self._retry = retry
        self._lock_wait = lock_wait
        self.own = own or OwnMetrics()
        self._status = StorageStatus(self._folder, clock, self._alive, self.own)
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []
        self._cursor = store.follow(_BEFORE_ALL)
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
        """Return a future that is done when all counters so far are on disk.

        It raises :class:`~exporter.errors.StorageError` if they cannot be written now. They are written later, when the
        problem is gone.
        """
        future: Future[None] = Future()
        with self._lock:
            problem = self._status.problem or (None if self._alive() else self._gone())
            if problem is None:
                self._waiting.append(future)
        if problem is not None:
            future.set_exception(problem)
        else:
            self._hurry.set()
            self._changed.put(None)
        return future

    def flush(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds until all counters so far are on disk, and return whether they are."""
        try:
            self.committed().result(timeout)
        except (TimeoutError, StorageError):
            return False
        return True

    def close(self) -> None:
        """Commit the last changes and unlock the file. A second call does nothing."""
        atexit.unregister(self.close)
        if os.getpid() != self._process:  # a forked process has no writer thread, and must not touch the file
            return
        self._ending = True
        self._hurry.set()
        self._changed.put(None)
        self._thread.join(_CLOSE_SECONDS)

    def _alive(self) -> bool:
        return self._thread.is_alive() and not self._ending and os.getpid() == self._process

    def _gone(self) -> StorageError:
        return StorageError(self._folder, "the storage is closed", Problem.GONE)

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
                    self._status.failed(problem)
                    # Only at the start: later, someone may have locked the file to repair it.
                    if not self._tried.is_set() and problem.reason in _REFUSED:
                        self._refused, last = problem, True
                else:
                    self._status.succeeded()
                _tell(waiting, self._status.problem)
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
        if self._status.problem is None:
            self._changed.get()
            self._hurry.wait(self._gather)
        else:
            self._hurry.wait(self._retry)
        # Empty the queue before reading the store, so that later changes wake this thread again.
        with suppress(queue.Empty):
            while True:
                self._changed.get_nowait()
        self._hurry.clear()

    def _look(self) -> list[Future[None]]:
        """Ask the store for a call at its next change, and return the futures that wait for changes up to now."""
        if not self._armed:
            self._armed = True
            self._store.on_next_change(self._wake)
        self._status.committing()
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def _wake(self) -> None:
        # Called by the thread that changes the store, which must not wait: no lock here.
        self._armed = False
        self._status.changed()
        self._changed.put(None)

    def _open(self) -> Database:
        database = Database.open(self._folder, self._lock_wait)
        try:
            instance, earlier = database.load()
        except StorageError:
            database.close()
            raise
        if instance != self._store.instance:  # else the file holds what this same store wrote and still holds
            self._store.restore(earlier)
        self._cursor.ids = earlier.ids_total
        return database

    def _commit(self, database: Database) -> None:
        known, ids = self._cursor.version, self._cursor.ids
        counted = Counted.of(self._cursor.take())
        try:
            if not counted.empty:
                database.write(counted, self._store.instance)
                self._status.committed()
        except StorageError:
            self._cursor.version, self._cursor.ids = known, ids  # the next attempt writes all of it again
            raise


def _tell(waiting: list[Future[None]], problem: StorageError | None) -> None:
    for future in waiting:
        if not future.done() and future.set_running_or_notify_cancel():
            if problem is None:
                future.set_result(None)
            else:
                future.set_exception(problem)
