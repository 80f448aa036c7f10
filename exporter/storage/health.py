"""How a storage fares: what its metrics and its log lines tell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.errors import StorageError
from exporter.logs import RateLimited
from exporter.metrics import STORAGE_COMMITS, STORAGE_ERRORS, STORAGE_LAG, STORAGE_SIZE, STORAGE_UP
from exporter.own_metrics import OwnMetrics
from exporter.storage.problems import Trouble
from exporter.storage.schema import FILE_NAME

logger = logging.getLogger(__name__)


class Health:
    """The account of one storage, in ``folder``; ``problem`` is what keeps it from committing now.

    ``clock`` gives seconds that never fall, ``alive`` says if somebody could commit; ``own`` are the metrics that show
    the account. One thread writes it, but for :meth:`changed`, any may read it.
    """

    def __init__(self, folder: Path, clock: Callable[[], float], alive: Callable[[], bool], own: OwnMetrics) -> None:
        self._folder = folder
        self._clock = clock
        self._log = RateLimited(logger)
        self._lock = threading.Lock()
        self._oldest: float | None = None  # of the changes that were looked at, and are not committed
        self._newer: float | None = None  # the first change since
        self.problem: StorageError | None = None
        own.gauge(STORAGE_UP).set_function(lambda: alive() and self.problem is None)
        self._commits = own.counter(STORAGE_COMMITS)
        self._errors = own.counter(STORAGE_ERRORS, Trouble)
        own.gauge(STORAGE_LAG).set_function(self._lag)
        own.gauge(STORAGE_SIZE).set_function(self._size)

    def changed(self) -> None:
        """Note the first change since the last look; by the thread that makes it, which must not wait for a lock."""
        self._newer = self._clock()

    def looked(self) -> None:
        """Note that all changes up to now are about to be committed."""
        with self._lock:
            if self._oldest is None:
                self._oldest = self._newer
            self._newer = None

    def committed(self) -> None:
        """Count a commit."""
        self._commits.inc()

    def succeeded(self) -> None:
        """Note that nothing is left of what was looked at."""
        with self._lock:
            before, self.problem = self.problem, None
            self._oldest = None
        if before is not None:
            logger.info("storage %s: counters are kept again", self._folder)

    def failed(self, problem: StorageError) -> None:
        """Count and tell a failure to open or to commit."""
        with self._lock:
            self.problem = problem
        self._errors.labels(problem.reason).inc()
        self._log.warning(problem.reason, f"counters are not kept, a restart would lose them: {problem}")

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
