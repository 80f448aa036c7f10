"""Live push: telling whoever listens that there is something new."""

from __future__ import annotations

import threading
from collections.abc import Callable

_lock = threading.Lock()
_pushes: list[Callable[[], None]] = []


def on_emit(push: Callable[[], None]) -> Callable[[], None]:
    """Have ``push`` called by every :func:`emit_stats_update`; returns what ends that."""
    with _lock:
        _pushes.append(push)

    def end() -> None:
        with _lock:
            _pushes.remove(push)

    return end


def emit_stats_update() -> None:
    """Push what changed to live subscribers now, from any thread; without any, do nothing."""
    with _lock:
        pushes = tuple(_pushes)
    for push in pushes:
        push()
