"""Updates not yet delivered: the gauges that changed, and events in order, each until it has arrived."""

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

_EVENTS: Final = 1000  # in one load: with usual details about a twentieth of what an exporter takes at once


class Gauge(NamedTuple):
    """A gauge to send: ``name`` is its place in the body of ``POST /api/stats``."""

    name: str
    streamer: str
    value: float


Item = Gauge | Event


def body(items: Iterable[Item], source: str) -> bytes:
    """Return the body of ``POST /api/stats`` that holds ``items``; ``source`` is whose the ids of its events are."""
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
    """What is to be sent together: all gauges up to ``version``, and events; ``more`` says that events are left."""

    items: Sequence[Item]
    version: int
    more: bool


class Backlog:
    """What ``store`` still has to tell an exporter: at most ``capacity`` events, of more the oldest are dropped.

    What :meth:`take` returns stays in the backlog until it is settled, dropped, or put back for another time. Any
    thread may call anything.
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
        """How many updates never will arrive, by reason."""
        with self._lock:
            found = self._dropped.copy()
            if self._closed:
                found[CLOSED] += self._store.events - self._last
            return found

    def gather(self, since: int) -> tuple[list[Gauge], int]:
        """Take in the events since the last call; return the gauges that changed after ``since``, and their version.

        Once closed, there are none.
        """
        with self._lock:
            if self._closed:
                return [], since
            self._cursor.version = min(since, self._told)
            changes = self._cursor.take()
            self._told = changes.version
            new = [event for event in changes.events if event.number > self._last]
            # Events that came and went between two calls are lost as if they had waited here.
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
        """Take the oldest events, and the newest value of the gauges that changed after a version; 0 is before all."""
        with self._lock:
            if not since:
                self._refused.clear()
            gauges, version = self.gather(since)
            events = self._take_events()
            if any(event.kind == CLEARED for event in self._waiting):
                # The gauges are newer than that clear, which is sent after them and would take them away.
                return Load(events, since, more=True)
            allowed = [each for each in gauges if (each.name, each.streamer) not in self._refused]
            return Load([*events, *allowed], version, more=bool(self._waiting))

    def _take_events(self) -> list[Event]:
        """Take the oldest events that may be sent together, and sent again.

        An exporter clears before it counts. So no streamer is both cleared and counted in one batch: a clear that came
        later would come too early, and one that came earlier would, when sent again, take away what was counted.
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
        """Forget events that have arrived."""
        with self._lock:
            for item in items:
                if isinstance(item, Event):
                    self._taken.pop(item.number, None)

    def drop(self, item: Item) -> None:
        """Forget an update that the exporter refuses; of a gauge, keep newer values back until all are sent again."""
        with self._lock:
            self.settle([item])
            self._dropped[REFUSED] += 1
            if isinstance(item, Gauge):
                self._refused.add((item.name, item.streamer))

    def put_back(self) -> None:
        """Keep the events that were taken and not settled for the next time."""
        with self._lock:
            self.gather(self._told)  # while those that were under way have a place
            self._waiting.extendleft(reversed(self._taken.values()))
            self._taken.clear()

    def settled(self, number: int) -> bool:
        """Return whether no event up to ``number`` is left."""
        with self._lock:
            oldest = next(chain(self._taken, (event.number for event in self._waiting)), number + 1)
            return self._last >= number and oldest > number

    def close(self) -> int:
        """Drop what is left and all that comes; returns how many events are left."""
        with self._lock:
            self.gather(self._cursor.version)
            self._closed = True
            left = len(self._waiting) + len(self._taken)
            self._dropped[CLOSED] += left
            self._waiting.clear()
            self._taken.clear()
            return left
