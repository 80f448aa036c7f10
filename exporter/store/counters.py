"""The counters of a store, which storage keeps across restarts. Gauges are not kept: they may be out of date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from exporter.store.event_ids import EventId
from exporter.store.journal import Changes
from exporter.store.rows import EVENTS
from exporter.store.state import State
from exporter.store.triggers import Trigger


class Counts(NamedTuple):
    """One streamer's counters: ``triggers`` by type, ``last_triggers`` in Unix time by type."""

    clips: int
    triggers: Mapping[str, int]
    last_triggers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Counted:
    """All counters if ``whole``, else those that may have changed.

    A streamer without counts is ``None`` in ``rows`` and 0 in ``clips_today``, whose day ends at Unix time
    ``day_ends``. ``recent`` always holds all recent triggers, newest first. ``ids`` are the newest of the ``ids_total``
    event ids ever learned, oldest first.
    """

    whole: bool
    rows: Mapping[str, Counts | None]
    clips_today: Mapping[str, int]
    day_ends: float
    recent: tuple[Trigger, ...]
    ids: list[EventId]
    ids_total: int

    @classmethod
    def of(cls, changes: Changes) -> Self:
        """Return the counters in ``changes``.

        If all counters are returned, streamers without counts are left out: they start at 0 when seen again.
        """
        counted = {}
        if changes.rows.has("clips"):
            fields = ("streamer", "clips", "triggers", "last_triggers")
            columns = zip(*map(changes.rows.column, fields), strict=True)
            counted = {name: Counts(*counts) for name, *counts in columns if counts[0] or any(counts[1].values())}
        rows: dict[str, Counts | None] = {}
        if changes.start_again:
            rows |= counted
        else:
            rows |= {event.streamer: counted.get(event.streamer) for event in changes.events}
        return cls(
            changes.start_again,
            rows,
            changes.clips_today,
            changes.day_ends,
            changes.recent,
            changes.ids,
            changes.ids_total,
        )

    @property
    def empty(self) -> bool:
        """True if nothing changed."""
        return not (self.whole or self.rows or self.ids)


def restore(state: State, earlier: Counted, now: float) -> None:
    """Add the counters of an earlier store to those of this one."""
    version = state.begin_restoring(now)
    for name, counts in earlier.rows.items():
        if counts is None:
            continue
        new = name not in state.rows
        row = state.row(name, now)
        if new:
            row.updated = None
        triggers = {kind: row.triggers.get(kind, 0) + count for kind, count in counts.triggers.items()}
        newest = {kind: max(at, row.last_triggers.get(kind, at)) for kind, at in counts.last_triggers.items()}
        state.others.update(kind for kind in triggers if kind not in row.triggers)
        row.triggers = {**row.triggers, **triggers}
        row.last_triggers = {**row.last_triggers, **newest}
        row.clips += counts.clips
        row.version = row.events_version = state.changed[EVENTS] = version
    for trigger in reversed(earlier.recent):
        state.recent.add(trigger)
    state.clips_today.restore(earlier.clips_today, earlier.day_ends, now)
    state.ids.restore(earlier.ids, earlier.ids_total)
