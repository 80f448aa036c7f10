"""The journal of a store's events, which cursors read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, NamedTuple

from exporter.store.encoding import array, compact, members
from exporter.store.event_ids import EventId
from exporter.store.rows import Rows
from exporter.store.triggers import Trigger

CAPACITY: Final = 10_000  # events; a cursor further behind must start again

TRIGGERS: Final = "triggers"
CLIPS: Final = "clips"
CLEARED: Final = "cleared"
GAUGES: Final = {"viewer_counts": "viewers", "chat_velocities": "velocity", "recording_status": "recording"}
"""The gauges by their names in a body of ``POST /api/stats``, and the fields of a row that hold them."""


class Event(NamedTuple):
    """A trigger, a clip, or the end of a streamer's row.

    ``number`` counts the events of a store from 1, ``version`` is the store's version after the event, ``kind`` is one
    of :data:`TRIGGERS`, :data:`CLIPS` and :data:`CLEARED`, ``row`` is the number of a dropped row.
    """

    number: int
    version: int
    kind: str
    streamer: str
    trigger: Trigger | None = None
    row: int | None = None


class Journal:
    """The newest events of a store, oldest first. Not thread-safe."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._complete_after = 0
        self.total = 0
        """Number of events so far, which is the number of the newest."""

    def add(
        self, version: int, kind: str, streamer: str, *, trigger: Trigger | None = None, row: int | None = None
    ) -> None:
        """Add an event; a full journal drops its oldest event."""
        if len(self._events) == self._events.maxlen:
            self._complete_after = max(self._complete_after, self._events[0].version)
        self.total += 1
        self._events.append(Event(self.total, version, kind, streamer, trigger, row))

    def start_again(self, version: int) -> None:
        """Make cursors from before ``version`` start again, after changes that are not events."""
        self._complete_after = version

    def since(self, version: int) -> tuple[list[Event], bool]:
        """Return the events after ``version`` that are still known, and whether that is all that happened."""
        complete = version >= self._complete_after
        if not self._events or self._events[-1].version <= version:
            return [], complete
        # A list first: a finalizer may add an event meanwhile.
        newest_first = takewhile(lambda event: event.version > version, reversed(list(self._events)))
        return list(newest_first)[::-1], complete


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a store after the version ``since`` up to ``version``, read at one moment.

    ``rows`` are the changed streamers in the order first seen, with the newest values of the changed parts. ``events``
    are all events in order. If ``start_again`` is True, the journal lacks some changes: then ``rows`` are all
    streamers, and ``events`` those still in the journal. ``total`` is the number of the store's newest event.
    ``recent`` are the newest triggers. ``clips_today`` has the clips of the streamers in ``events``, or of all, and
    ``day_ends`` is the Unix time when they return to 0. ``ids`` are the new ones of ``ids_total`` event ids.
    """

    since: int
    version: int
    start_again: bool
    rows: Rows
    events: list[Event]
    total: int
    recent: tuple[Trigger, ...]
    clips_today: Mapping[str, int]
    day_ends: float
    ids: list[EventId] = field(default_factory=list)
    ids_total: int = 0

    def gauges(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield each gauge's name in ``POST /api/stats``, and its changed values by streamer."""
        streamers, since = self.rows.column("streamer"), self.since
        for name, gauge in GAUGES.items():
            if not self.rows.has(gauge):
                continue
            columns = zip(streamers, self.rows.column(gauge), self.rows.column(f"{gauge}_version"), strict=True)
            yield (
                name,
                {streamer: value for streamer, value, version in columns if version > since and value is not None},
            )

    def body(self) -> str:
        """Return the changes as JSON text in the format of ``POST /api/stats``, without empty members.

        ``cleared`` applies first: a streamer in it and in a gauge was seen again.
        """
        cleared = dict.fromkeys(event.streamer for event in self.events if event.kind == CLEARED)
        texts = {name: compact(values) for name, values in self.gauges() if values}
        triggers = [event.trigger.text() for event in self.events if event.trigger is not None]
        clips = [{"streamer": event.streamer} for event in self.events if event.kind == CLIPS]
        texts |= {TRIGGERS: array(triggers)} if triggers else {}
        texts |= {CLIPS: compact(clips)} if clips else {}
        texts |= {CLEARED: compact(list(cleared))} if cleared else {}
        return members(texts)
