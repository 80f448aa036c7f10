"""Waiting for what another thread or process does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_PAUSE = threading.Event()  # that nobody sets


def wait_for(condition: Callable[[], object], deadline: float = 15.0) -> float:
    """Return the seconds that it took until ``condition()`` was true; fail after ``deadline`` seconds."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < deadline, "waited too long"
        _PAUSE.wait(0.01)
    return time.monotonic() - begin
