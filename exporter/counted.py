"""What of a store outlives its process: all that was counted. Gauges do not, for nobody knows if they still hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.history import Trigger
from exporter.ids import EventId


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
