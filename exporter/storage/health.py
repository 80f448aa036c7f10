"""How a storage fares: what its metrics and its log lines tell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from exporter.errors import StorageError
from exporter.logs import RateLimited
from exporter.storage.problems import Trouble
from exporter.storage.schema import FILE_NAME

logger = logging.getLogger(__name__)


class Health:
    """The account of one storage, in ``folder``; ``problem`` is what keeps it from committing now.

    ``clock`` gives seconds that never fall. One thread writes the account, but for :meth:`changed`, any may read it.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._log = RateLimited(logger)
        self._lock = threading.Lock()
        self._commits = 0
        self._errors = {trouble.value: 0 for trouble in Trouble}
        self._oldest: float | None = None  # of the changes that were looked at, and are not committed
        self._newer: float | None = None  # the first change since
        self.problem: StorageError | None = None

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
        with self._lock:
            self._commits += 1

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
            self._errors[problem.reason] += 1
        self._log.warning(problem.reason, f"counters are not kept, a restart would lose them: {problem}")

    def numbers(self, *, alive: bool) -> Mapping[str, Any]:
        """The numbers by the ``field`` of the families that show them; ``alive`` says if somebody could commit."""
        with self._lock:
            oldest = self._newer if self._oldest is None else self._oldest
            return {
                "storage_up": int(alive and self.problem is None),
                "storage_commits": self._commits,
                "storage_errors": self._errors.copy(),
                "storage_lag": 0.0 if oldest is None else max(0.0, self._clock() - oldest),
                "storage_size": sum(map(_size, (self._folder / FILE_NAME, self._folder / f"{FILE_NAME}-wal"))),
            }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
