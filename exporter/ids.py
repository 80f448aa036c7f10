"""The ids of events already counted, so that whoever is not sure may send an event again. Not thread-safe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CAPACITY: Final = 100_000  # at 500 events a second, three minutes in which a retry is recognised

EventId = tuple[str, str]
"""A pusher's name for itself, and its name for the event."""


class KnownIds:
    """The newest ``capacity`` ids."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._ids: dict[EventId, None] = {}

    def __contains__(self, event: EventId) -> bool:
        return event in self._ids

    def add(self, events: Iterable[EventId]) -> None:
        """Remember ids; the oldest are forgotten."""
        self._ids.update(dict.fromkeys(events))
        while len(self._ids) > self._capacity:
            del self._ids[next(iter(self._ids))]
