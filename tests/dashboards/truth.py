"""What really happened: a store's updates, noted on their way in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from exporter.store.shared import SharedStats


class Event(NamedTuple):
    """Something that happened to a streamer at a Unix time; ``what`` is the trigger's type, or what was done."""

    time: float
    streamer: str
    what: str


class Truth:
    """A ``StatsWriter`` that notes what it hands on to ``store``; ``clock`` is the store's."""

    def __init__(self, store: SharedStats, clock: Callable[[], float]) -> None:
        self.store = store
        self._clock = clock
        self.updated: dict[str, float] = {}
        self.triggers: list[Event] = []
        self.clips: Counter[str] = Counter()
        self.cleared: list[Event] = []
        self.viewers: dict[str, list[tuple[float, float]]] = {}
        self.velocities: dict[str, list[tuple[float, float]]] = {}
        self.recordings: dict[str, list[tuple[float, bool]]] = {}

    def update_viewers(self, streamer: str, count: float) -> None:
        self.store.update_viewers(streamer, count)
        self.updated[streamer] = self._clock()
        self.viewers.setdefault(streamer, []).append((self._clock(), count))

    def update_velocity(self, streamer: str, velocity: float) -> None:
        self.store.update_velocity(streamer, velocity)
        self.updated[streamer] = self._clock()
        self.velocities.setdefault(streamer, []).append((self._clock(), velocity))

    def add_trigger(self, streamer: str, trigger_type: str, details: dict[str, Any] | None = None) -> None:
        self.store.add_trigger(streamer, trigger_type, details)
        self.updated[streamer] = self._clock()
        self.triggers.append(Event(self._clock(), streamer, trigger_type))

    def update_recording_status(self, streamer: str, recording: bool) -> None:
        self.store.update_recording_status(streamer, recording)
        self.updated[streamer] = self._clock()
        self.recordings.setdefault(streamer, []).append((self._clock(), recording))

    def increment_clips_today(self, streamer: str) -> None:
        self.store.increment_clips_today(streamer)
        self.updated[streamer] = self._clock()
        self.clips[streamer] += 1

    def clear_streamer_stats(self, streamer: str) -> None:
        self.store.clear_streamer_stats(streamer)
        self.cleared.append(Event(self._clock(), streamer, "cleared"))


def at(values: list[tuple[float, Any]], time: float) -> Any:
    """The value in force at ``time``."""
    return [value for when, value in values if when <= time][-1]
