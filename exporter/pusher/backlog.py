"""Updates not yet delivered: the gauges that changed, and all events in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from exporter.store.encoding import array, compact, members
from exporter.store.journal import CLEARED, Event
from exporter.store.store import Store

QUEUE_FULL: Final = "queue_full"
REFUSED: Final = "refused"
CLOSED: Final = "closed"

_EVENTS: Final = 1000  # in one load; with usual details about 1/20 of the largest body that an exporter accepts


class Gauge(NamedTuple):
    """A gauge to send; ``name`` is its key in the body of ``POST /api/stats``."""

    name: str
    streamer: str
    value: float


Item = Gauge | Event


def body(items: Iterable[Item], source: str) -> bytes:
    """Return the body of ``POST /api/stats`` with ``items``; event ids are unique per ``source``."""
    gauges: dict[str, dict[str, float]] = {}
    events: dict[str, list[str]] = {}
    for item in items:
        if isinstance(item, Gauge):
            gauges.setdefault(item.name, {})[item.streamer] = item.value
        else:
            events.setdefault(item.kind, []).append(_text(item))
    texts = {"source": compact(source)}
    texts |= {name: compact(values) for name, values in gauges.items()}
    texts |= {kind: array(found) for kind, found in events.items()}
    return members(texts).encode()


def _text(event: Event) -> str:
    if event.kind == CLEARED:
        return compact(event.streamer)
    if event.trigger is not None:
        return members({**event.trigger.members(), "id": compact(str(event.number))})
    return compact({"streamer": event.streamer, "id": str(event.number)})


@dataclass(frozen=True, slots=True)
class Load:
    """Updates to send together: all gauges up to ``version``, and events; ``more`` is True if events are left."""

    items: Sequence[Item]
    version: int
    more: bool


class Backlog:
    """Updates of ``store`` not yet delivered; above ``capacity`` events, the oldest are dropped.

    Events that :meth:`take` returns stay in the backlog until they are settled, dropped or put back. Thread-safe.
    """

    def __init__(self, store: Store, capacity: int) -> None:
        self._store = store
        self._capacity = capacity
        self._cursor = store.follow()
        self._told = self._cursor.version
        self._last = store.events
        self._lock = threading.RLock()
        self._waiting: deque[Event] = deque()
        self._taken: dict[int, Event] = {}
        self._refused: set[tuple[str, str]] = set()
        self._closed = False
        self._dropped = dict.fromkeys((QUEUE_FULL, REFUSED, CLOSED), 0)

    @property
    def dropped(self) -> Mapping[str, int]:
        """Number of dropped updates by reason."""
        with self._lock:
            found = self._dropped.copy()
            if self._closed:
                found[CLOSED] += self._store.events - self._last
            return found

    def gather(self, since: int) -> tuple[list[Gauge], int]:
        """Queue the events since the last call; return the gauges that changed after ``since``, and their version.

        Returns no gauges after :meth:`close`.
        """
        with self._lock:
            if self._closed:
                return [], since
            self._cursor.version = min(since, self._told)
            changes = self._cursor.take()
            self._told = changes.version
            new = [event for event in changes.events if event.number > self._last]
            # The store's journal dropped some events between two calls: they count as dropped here.
            self._dropped[QUEUE_FULL] += changes.total - self._last - len(new)
            self._last = changes.total
            self._waiting.extend(new)
            while len(self._waiting) + len(self._taken) > self._capacity and self._waiting:
                self._waiting.popleft()
                self._dropped[QUEUE_FULL] += 1
            gauges = [
                Gauge(name, streamer, value) for name, values in changes.gauges() for streamer, value in values.items()
            ]
            return gauges, changes.version

    def take(self, since: int) -> Load:
        """Return the oldest events, and the gauges that changed after version ``since`` (0: all gauges)."""
        with self._lock:
            if not since:
                self._refused.clear()
            gauges, version = self.gather(since)
            events = self._take_events()
            if any(event.kind == CLEARED for event in self._waiting):
                # The gauges are newer than this clear. It is sent later, and would remove them.
                return Load(events, since, more=True)
            allowed = [each for each in gauges if (each.name, each.streamer) not in self._refused]
            return Load([*events, *allowed], version, more=bool(self._waiting))

    def _take_events(self) -> list[Event]:
        """Return the oldest events that can be sent in one batch, and sent again.

        An exporter applies the clears of a batch first. So a batch never both clears and counts one streamer: a later
        clear would be applied too early, and an earlier one would remove the counts when the batch is sent again.
        """
        cleared: set[str] = set()
        counted: set[str] = set()
        while self._waiting and len(self._taken) < _EVENTS:
            event = self._waiting[0]
            mine, other = (cleared, counted) if event.kind == CLEARED else (counted, cleared)
            if event.streamer in other:
                break
            mine.add(event.streamer)
            self._taken[event.number] = self._waiting.popleft()
        return list(self._taken.values())

    def settle(self, items: Iterable[Item]) -> None:
        """Remove events that were delivered."""
        with self._lock:
            for item in items:
                if isinstance(item, Event):
                    self._taken.pop(item.number, None)

    def drop(self, item: Item) -> None:
        """Drop an update that the exporter refused. A refused gauge is not sent until all gauges are sent again."""
        with self._lock:
            self.settle([item])
            self._dropped[REFUSED] += 1
            if isinstance(item, Gauge):
                self._refused.add((item.name, item.streamer))

    def put_back(self) -> None:
        """Return events that were taken but not settled to the queue."""
        with self._lock:
            self.gather(self._told)  # before the taken events return, so that the oldest are dropped first
            self._waiting.extendleft(reversed(self._taken.values()))
            self._taken.clear()

    def settled(self, number: int) -> bool:
        """Return whether no event up to ``number`` is left."""
        with self._lock:
            oldest = next(chain(self._taken, (event.number for event in self._waiting)), number + 1)
            return self._last >= number and oldest > number

    def close(self) -> int:
        """Drop all events, now and later; returns the number dropped now."""
        with self._lock:
            self.gather(self._cursor.version)
            self._closed = True
            left = len(self._waiting) + len(self._taken)
            self._dropped[CLOSED] += left
            self._waiting.clear()
            self._taken.clear()
            return left
