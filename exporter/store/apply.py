"""Applies a batch to a store's state, as a whole or not at all."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

from exporter.errors import InvalidBatch
from exporter.store.batch import Batch, TriggerUpdate
from exporter.store.event_ids import EventId
from exporter.store.state import State
from exporter.store.validation import Reason


def apply(state: State, batch: Batch, now: float) -> tuple[int, int]:
    """Apply a batch as a whole, or refuse it; returns the numbers of applied updates and of known event ids."""
    seen: set[EventId] = set()

    def is_new(source: str, name: str | None) -> bool:
        event = (source, name or "")
        if name is None or not (event in seen or event in state.ids):
            seen.update([event] if name else [])
            return True
        return False

    triggers = [each for each in batch.triggers if is_new(batch.source, each.id)]
    clips = [streamer for streamer, name in batch.clips if is_new(batch.source, name)]
    gauges = [(gauge, streamer, value) for gauge, values in batch.gauges() for streamer, value in values.items()]
    streamers = {*(streamer for _, streamer, _ in gauges), *clips, *(each.streamer for each in triggers)}
    try:
        _check_room(state, batch.cleared, streamers, triggers)
    except InvalidBatch:
        state.expire(now, sys.maxsize)  # before a refusal, however many there are
        _check_room(state, batch.cleared, streamers, triggers)
    state.ids.add(seen)
    for name in batch.cleared:
        state.drop(name, now)
    for gauge, name, value in gauges:
        state.post(name, gauge, value, now)
    for each in triggers:
        state.trigger(each.streamer, each.type, each.details, now, each.at)
    for name in clips:
        state.clip(name, now)
    applied = len(batch.cleared) + len(gauges) + len(triggers) + len(clips)
    return applied, len(batch.triggers) + len(batch.clips) - len(triggers) - len(clips)


def _check_room(state: State, cleared: Iterable[str], streamers: set[str], triggers: Iterable[TriggerUpdate]) -> None:
    """Refuse a batch that would exceed a limit after its clears.

    Restored counters may already be above the limits. Then a batch that adds nothing new is accepted.
    """
    gone = {name: row for name in cleared if (row := state.rows.get(name)) is not None}
    added = sum(name not in state.rows or name in gone for name in streamers)
    held = len(state.rows) - len(gone) + added
    limit = state.limits.streamers
    if added and held > limit:
        raise InvalidBatch([f"body: too many streamers: {held} (--limit.streamers={limit})"], Reason.STREAMERS)
    left = state.others - Counter(kind for row in gone.values() for kind in row.triggers if kind in state.others)
    known = {*state.zeros, *left}
    types = len(known | {each.type for each in triggers})
    limit = state.limits.trigger_types
    if len(known) < types > limit:
        raise InvalidBatch(
            [f"body: too many trigger types: {types} (--limit.trigger-types={limit})"], Reason.TRIGGER_TYPES
        )
