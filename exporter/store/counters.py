"""What of a store outlives its process: all that was counted. Gauges do not, for nobody knows if they still hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.store.event_ids import EventId
from exporter.store.rows import Row
from exporter.store.state import State
from exporter.store.triggers import Trigger


class Counts(NamedTuple):
    """One streamer's counters: ``triggers`` by type, ``last_triggers`` in Unix time by type."""

    clips: int
    triggers: Mapping[str, int]
    last_triggers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Counted:
    """Everything counted up to a store's ``version`` if ``whole``, else what of it may have changed.

    ``rows`` has ``None`` for a streamer of whom nothing is counted, ``clips_today`` a 0; ``day_ends`` is the Unix time
    when its day does. ``recent`` are the newest triggers, newest first, always all of them. ``ids`` are the newest of
    the ``ids_total`` that there ever were, oldest first.
    """

    version: int
    whole: bool
    rows: Mapping[str, Counts | None]
    clips_today: Mapping[str, int]
    day_ends: float
    recent: tuple[Trigger, ...]
    ids: list[EventId]
    ids_total: int

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.whole or self.rows or self.ids)


def take(state: State, since: int | None, ids_since: int) -> Counted:
    """What was counted after the version ``since``, or all if that is ``None`` or too old, and the ids added since.

    A streamer with nothing counted is left out of all: when it is seen again its counters start at 0 anyway.
    """
    names = None if since is None else state.log.streamers(since)
    today = state.clips_today.copy()
    rows: dict[str, Counts | None] = {}
    for name in state.rows if names is None else names:
        row = state.rows.get(name)
        if row is not None and (row.clips or any(row.triggers.values())):
            rows[name] = Counts(row.clips, row.triggers, row.last_triggers)
        elif names is not None:
            rows[name] = None
    return Counted(
        version=state.version,
        whole=names is None,
        rows=rows,
        clips_today=today if names is None else {name: today.get(name, 0) for name in names},
        day_ends=state.clips_today.ends,
        recent=state.history.copy(),
        ids=state.ids.since(ids_since),
        ids_total=state.ids.total,
    )


def restore(state: State, earlier: Counted, now: float) -> None:
    """Add what an earlier store had counted to what this one has."""
    version = state.begin_restoring(now)
    for name, counts in earlier.rows.items():
        if counts is None:
            continue
        row = state.rows.setdefault(name, Row(name, state.zeros, state.never))
        triggers = {kind: row.triggers.get(kind, 0) + count for kind, count in counts.triggers.items()}
        newest = {kind: max(at, row.last_triggers.get(kind, at)) for kind, at in counts.last_triggers.items()}
        state.others.update(kind for kind in triggers if kind not in row.triggers)
        row.version = version
        row.triggers = {**row.triggers, **triggers}
        row.last_triggers = {**row.last_triggers, **newest}
        row.clips += counts.clips
        row.events_version = version
    for trigger in reversed(earlier.recent):
        state.history.add(trigger)
    state.clips_today.restore(earlier.clips_today, earlier.day_ends, now)
    state.ids.restore(earlier.ids, earlier.ids_total)
