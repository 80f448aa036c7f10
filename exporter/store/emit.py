"""Requests an immediate push to live subscribers; cheap to import, and does nothing without subscribers."""

from __future__ import annotations

from collections.abc import Callable

# No lock, because a signal handler may interrupt its own thread in here. Each step is atomic.
_emits: dict[object, Callable[[], None]] = {}


def emit_stats_update() -> None:
    """Push to live subscribers now; does nothing without subscribers. Thread-safe."""
    for emit in _emits.copy().values():
        emit()


def on_emit(emit: Callable[[], None]) -> Callable[[], None]:
    """Call ``emit`` at every :func:`emit_stats_update`; returns a function that ends this."""
    key = object()
    _emits[key] = emit

    def end() -> None:
        del _emits[key]

    return end
