"""The newest triggers, each with its time and details."""

from __future__ import annotations

import json
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypedDict

from exporter.store.encoding import compact, members

RECENT_TRIGGERS: Final = 20


class TriggerEntry(TypedDict):
    """One entry of ``recent_triggers``; ``timestamp`` is ISO 8601 with an offset."""

    streamer: str
    type: str
    timestamp: str
    details: dict[str, Any]


class Trigger(NamedTuple):
    """A trigger: ``at`` is Unix time, ``details`` a JSON object as text, encoded when the trigger was reported."""

    streamer: str
    type: str
    at: float
    details: str

    def entry(self) -> TriggerEntry:
        """Return the trigger as plain data; a new object each time, which the caller may change."""
        return {
            "streamer": self.streamer,
            "type": self.type,
            "timestamp": iso(self.at),
            "details": json.loads(self.details),
        }

    def members(self) -> dict[str, str]:
        """Return the members of :meth:`entry` as JSON text."""
        return {
            "streamer": compact(self.streamer),
            "type": compact(self.type),
            "timestamp": compact(iso(self.at)),
            "details": self.details,
        }

    def text(self) -> str:
        """Return :meth:`entry` as JSON text."""
        return members(self.members())


class RecentTriggers:
    """The newest 20 triggers, newest first. Not thread-safe."""

    def __init__(self) -> None:
        self._triggers: deque[Trigger] = deque()

    def add(self, trigger: Trigger) -> None:
        """Insert a trigger by its time, before those of the same time; forget the oldest of more than 20."""
        newest = self.copy()  # a signal handler may add one meanwhile
        place = next((at for at, other in enumerate(newest) if other.at <= trigger.at), len(newest))
        if place < RECENT_TRIGGERS:
            if len(self._triggers) == RECENT_TRIGGERS:
                self._triggers.pop()
            self._triggers.insert(place, trigger)

    def copy(self) -> tuple[Trigger, ...]:
        """Return a copy of the triggers."""
        return tuple(self._triggers)

    def clear(self) -> None:
        """Remove all triggers."""
        self._triggers.clear()


def iso(at: float) -> str:
    """Return Unix time as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
