"""The ids of events already counted, so that whoever is not sure may send an event again. Not thread-safe."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Final

CAPACITY: Final = 100_000  # at 500 events a second, three minutes in which a retry is recognised

EventId = tuple[str, str]
"""A pusher's name for itself, and its name for the event."""


class KnownIds:
    """The newest ``capacity`` ids; ``total`` is how many there ever were, so that a reader can ask for those since."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # Whose oldest is at hand: a plain dict steps over all the places of those removed to find it.
        self._ids: OrderedDict[EventId, None] = OrderedDict()
        self.total = 0

    def __contains__(self, event: EventId) -> bool:
        return event in self._ids

    def add(self, events: Iterable[EventId]) -> None:
        """Remember ids; the oldest are forgotten."""
        known = len(self._ids)
        self._ids.update(dict.fromkeys(events))
        self.total += len(self._ids) - known
        while len(self._ids) > self._capacity:
            self._ids.popitem(last=False)

    def since(self, total: int) -> list[EventId]:
        """The ids added since there were ``total``, oldest first, but for those forgotten."""
        return list(islice(reversed(self._ids), max(0, self.total - total)))[::-1]

    def restore(self, events: Iterable[EventId], total: int) -> None:
        """Remember the ids of an earlier store, ``total`` of them ever, as older than those known."""
        newer = list(self._ids)
        self._ids = OrderedDict.fromkeys(events)
        self.total = total
        self.add(newer)
