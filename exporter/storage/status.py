"""The status of a storage, for its metrics and log lines."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.errors import StorageError
from exporter.logs import RateLimited
from exporter.metrics import STORAGE_COMMITS, STORAGE_ERRORS, STORAGE_LAG, STORAGE_SIZE, STORAGE_UP
from exporter.own_metrics import OwnMetrics
from exporter.storage.problems import Problem
from exporter.storage.schema import FILE_NAME

logger = logging.getLogger(__name__)


class StorageStatus:
    """The status of one storage in ``folder``; ``problem`` is why it cannot commit now, ``None`` if it can.

    ``clock`` is a monotonic clock, ``alive`` returns whether the writer runs, ``own`` holds the metrics. Only the
    writer's thread calls the methods, except :meth:`changed`; any thread may read.
    """

    def __init__(self, folder: Path, clock: Callable[[], float], alive: Callable[[], bool], own: OwnMetrics) -> None:
        self._folder = folder
        self._clock = clock
        self._log = RateLimited(logger)
        self._lock = threading.Lock()
        self._oldest: float | None = None  # time of the oldest change being committed
        self._newer: float | None = None  # time of the first change since then
        self.problem: StorageError | None = None
        own.gauge(STORAGE_UP).set_function(lambda: alive() and self.problem is None)
        self._commits = own.counter(STORAGE_COMMITS)
        self._errors = own.counter(STORAGE_ERRORS, Problem)
        own.gauge(STORAGE_LAG).set_function(self._lag)
        own.gauge(STORAGE_SIZE).set_function(self._size)

    def changed(self) -> None:
        """Record a change. Takes no lock, because the thread that makes the change must not wait."""
        self._newer = self._clock()

    def committing(self) -> None:
        """Record that all changes up to now are about to be committed."""
        with self._lock:
            if self._oldest is None:
                self._oldest = self._newer
            self._newer = None

    def committed(self) -> None:
        """Count a commit."""
        self._commits.inc()

    def succeeded(self) -> None:
        """Record that these changes are on disk."""
        with self._lock:
            before, self.problem = self.problem, None
            self._oldest = None
        if before is not None:
            logger.info("storage %s: counters are stored again", self._folder)

    def failed(self, problem: StorageError) -> None:
        """Count and log a failure to open or commit."""
        with self._lock:
            self.problem = problem
        self._errors.labels(problem.reason).inc()
        self._log.warning(problem.reason, f"counters are not stored, and a restart would lose them: {problem}")

    def _lag(self) -> float:
        with self._lock:
            oldest = self._newer if self._oldest is None else self._oldest
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest)

    def _size(self) -> int:
        return sum(map(_size, (self._folder / FILE_NAME, self._folder / f"{FILE_NAME}-wal")))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
