"""Calling for a push, from wherever: light to import, and nothing happens while nobody is pushed to."""

from __future__ import annotations

from collections.abc import Callable

# Without a lock, because a signal handler may call in here while its own thread is in here. Each step is atomic.
_emits: dict[object, Callable[[], None]] = {}


def emit_stats_update() -> None:
    """Push to live subscribers now, from any thread; without any, do nothing."""
    for emit in _emits.copy().values():
        emit()


def on_emit(emit: Callable[[], None]) -> Callable[[], None]:
    """Have ``emit`` called by every :func:`emit_stats_update`; returns what ends that."""
    key = object()
    _emits[key] = emit

    def end() -> None:
        del _emits[key]

    return end
