"""Calling for a push, from wherever: light to import, and nothing happens while nobody is pushed to."""

from __future__ import annotations

import threading
from collections.abc import Callable

_lock = threading.Lock()
_emits: list[Callable[[], None]] = []


def emit_stats_update() -> None:
    """Push to live subscribers now, from any thread; without any, do nothing."""
    with _lock:
        emits = tuple(_emits)
    for emit in emits:
        emit()


def on_emit(emit: Callable[[], None]) -> Callable[[], None]:
    """Have ``emit`` called by every :func:`emit_stats_update`; returns what ends that."""
    with _lock:
        _emits.append(emit)

    def end() -> None:
        with _lock:
            _emits.remove(emit)

    return end
