"""The ids of events already counted, so that clients can safely send events again. Not thread-safe."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Final

CAPACITY: Final = 100_000  # at 500 events per second, retries are recognised for three minutes

EventId = tuple[str, str]
"""The ``source`` of a batch, and the id of the event."""


class KnownIds:
    """The newest ``capacity`` ids; ``total`` counts all ids ever added, so that readers can ask for new ones."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # An OrderedDict finds its oldest key at once; a plain dict skips over all removed entries.
        self._ids: OrderedDict[EventId, None] = OrderedDict()
        self.total = 0

    def __contains__(self, event: EventId) -> bool:
        return event in self._ids

    def add(self, events: Iterable[EventId]) -> None:
        """Add ids; the oldest above the capacity are dropped."""
        known = len(self._ids)
        self._ids.update(dict.fromkeys(events))
        self.total += len(self._ids) - known
        while len(self._ids) > self._capacity:
            self._ids.popitem(last=False)

    def since(self, total: int) -> list[EventId]:
        """Return the ids added since there were ``total``, oldest first, except those dropped."""
        return list(islice(reversed(self._ids), max(0, self.total - total)))[::-1]

    def restore(self, events: Iterable[EventId], total: int) -> None:
        """Add the ids of an earlier store, which had ``total`` in all, as older than the known ones."""
        newer = list(self._ids)
        self._ids = OrderedDict.fromkeys(events)
        self.total = total
        self.add(newer)
