"""What a store still has to tell an exporter: the gauges that changed, and the events of its outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from exporter.pusher.outbox import REFUSED, Item, Outbox
from exporter.store.store import Store

_GAUGES: Final = ("viewer_counts", "chat_velocities", "recording_status")
_EVENTS: Final = 1000  # in one load: with usual details about a twentieth of what an exporter takes at once


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be sent together: all gauges up to ``version``, and events; ``more`` says that events are left."""

    items: Sequence[Item]
    version: int
    more: bool


class Backlog:
    """The undelivered of ``store``, whose event log ``outbox`` is and whose ``lock`` guards both."""

    def __init__(self, store: Store, outbox: Outbox, lock: AbstractContextManager[object]) -> None:
        self._store = store
        self._outbox = outbox
        self._lock = lock
        self._refused: set[tuple[str, str]] = set()

    def take(self, since: int) -> Load:
        """Take the oldest events, and the newest value of the gauges that changed after a version; 0 is before all."""
        with self._lock:
            if not since:
                self._refused.clear()
            events = self._outbox.take(_EVENTS)
            if self._outbox.holds_clear:
                # The gauges are of a time after that clear, which is sent after them and would take them away.
                return Load(events, since, more=True)
            changes = self._store.gauges(since)
            gauges = [
                Item(kind, streamer, value)
                for kind in _GAUGES
                for streamer, value in getattr(changes, kind).items()
                if (kind, streamer) not in self._refused
            ]
            return Load(events + gauges, changes.version, more=not self._outbox.empty)

    def settle(self, items: Iterable[Item]) -> None:
        """Forget events that have arrived."""
        with self._lock:
            self._outbox.settle(items)

    def drop(self, item: Item) -> None:
        """Forget an update that the exporter refuses; of a gauge, keep newer values back until all are taken again."""
        with self._lock:
            self._outbox.settle([item])
            self._outbox.dropped[REFUSED] += 1
            if not item.number:
                self._refused.add((item.kind, item.streamer))

    def put_back(self) -> None:
        """Keep the events that were taken and not settled for the next time."""
        with self._lock:
            self._outbox.put_back()
