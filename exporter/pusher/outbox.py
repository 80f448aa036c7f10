"""What a process still has to tell an exporter: its events in order, bounded, each with an id. Not thread-safe."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

from exporter.store.changes import EventLog
from exporter.store.triggers import Trigger

QUEUE_FULL: Final = "queue_full"
REFUSED: Final = "refused"
CLOSED: Final = "closed"
DROPPED: Final = (QUEUE_FULL, REFUSED, CLOSED)


class Item(NamedTuple):
    """One update of a batch: ``kind`` is its place in the body of ``POST /api/stats``, ``number`` that of an event."""

    kind: str
    streamer: str
    value: Any = None
    number: int = 0


_EVENTS: Final[Mapping[str, Callable[[Item], Any]]] = {
    "cleared": lambda item: item.streamer,
    "triggers": lambda item: {**item.value.entry(), "id": str(item.number)},
    "clips": lambda item: {"streamer": item.streamer, "id": str(item.number)},
}


def body(items: Iterable[Item], source: str) -> bytes:
    """The body of ``POST /api/stats`` that holds ``items``; ``source`` is whose the ids of its events are."""
    data: dict[str, Any] = {"source": source}
    for item in items:
        if item.kind in _EVENTS:
            data.setdefault(item.kind, []).append(_EVENTS[item.kind](item))
        else:
            data.setdefault(item.kind, {})[item.streamer] = item.value
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class Outbox(EventLog):
    """An event log that keeps what is not delivered yet: at most ``capacity`` events, of more the oldest are dropped.

    What :meth:`take` gives out stays the outbox's until it is :meth:`settle`-d, or :meth:`put_back` for another time.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._waiting: deque[Item] = deque()
        self._taken: dict[int, Item] = {}
        self._closed = False
        self.last = 0
        """The number of the newest event."""
        self.dropped = dict.fromkeys(DROPPED, 0)

    def trigger(self, version: int, trigger: Trigger) -> None:  # noqa: D102 - the base class says what these do
        super().trigger(version, trigger)
        self._put("triggers", trigger.streamer, trigger)

    def clip(self, version: int, streamer: str) -> None:  # noqa: D102
        super().clip(version, streamer)
        self._put("clips", streamer)

    def cleared(self, version: int, streamer: str) -> None:  # noqa: D102
        super().cleared(version, streamer)
        self._put("cleared", streamer)

    def _put(self, kind: str, streamer: str, value: Any = None) -> None:
        self.last += 1
        if self._closed:
            self.dropped[CLOSED] += 1
            return
        self._waiting.append(Item(kind, streamer, value, self.last))
        if len(self._waiting) + len(self._taken) > self._capacity:
            self._waiting.popleft()
            self.dropped[QUEUE_FULL] += 1

    def take(self, limit: int) -> list[Item]:
        """Take the oldest events, at most ``limit``, that may be sent together, and sent again.

        An exporter clears before it counts. So no streamer is both cleared and counted in one batch: a clear that came
        later would come too early, and one that came earlier would, when sent again, take away what was counted.
        """
        cleared: set[str] = set()
        counted: set[str] = set()
        while self._waiting and len(self._taken) < limit:
            item = self._waiting[0]
            mine, other = (cleared, counted) if item.kind == "cleared" else (counted, cleared)
            if item.streamer in other:
                break
            mine.add(item.streamer)
            self._taken[item.number] = self._waiting.popleft()
        return list(self._taken.values())

    def settle(self, items: Iterable[Item]) -> None:
        """Forget what was taken and has arrived, or never will."""
        for item in items:
            self._taken.pop(item.number, None)

    def put_back(self) -> None:
        """Have what was taken and not settled wait again, in its old place."""
        self._waiting.extendleft(reversed(self._taken.values()))
        self._taken.clear()

    def settled(self, number: int) -> bool:
        """Whether no event up to ``number`` is left."""
        return next(chain(self._taken, (item.number for item in self._waiting)), number + 1) > number

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def holds_clear(self) -> bool:
        """Whether a clear waits."""
        return any(item.kind == "cleared" for item in self._waiting)

    def close(self) -> None:
        """Drop what is left and all that comes."""
        self._closed = True
        self.dropped[CLOSED] += len(self._waiting) + len(self._taken)
        self._waiting.clear()
        self._taken.clear()
