"""What happened to a store, so that a reader who knows one moment can be told of the next. Not thread-safe."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from exporter.store.triggers import Trigger

_LOGGED: Final = 10_000  # events; a reader further behind gets the whole instead


@dataclass(slots=True)
class Changes:
    """All that changed after one version of a store, up to ``version``: the newest gauges and every event.

    ``cleared`` holds for the moment before everything else: a streamer that is in it and in a gauge was seen again.
    """

    version: int
    viewer_counts: dict[str, float] = field(default_factory=dict)
    chat_velocities: dict[str, float] = field(default_factory=dict)
    recording_status: dict[str, bool] = field(default_factory=dict)
    triggers: list[Trigger] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """The changes in the shape of the body that ``POST /api/stats`` takes, without what is empty."""
        whole = {
            "viewer_counts": self.viewer_counts,
            "chat_velocities": self.chat_velocities,
            "recording_status": self.recording_status,
            "triggers": [trigger.entry() for trigger in self.triggers],
            "clips": [{"streamer": streamer} for streamer in self.clips],
            "cleared": list(dict.fromkeys(self.cleared)),
        }
        return {key: value for key, value in whole.items() if value}


class EventLog:
    """The newest events of a store, oldest first: triggers, clips, and streamers cleared."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, str, Any]] = deque(maxlen=_LOGGED)
        self._complete_after = 0

    def trigger(self, version: int, trigger: Trigger) -> None:
        """Note a trigger."""
        self._add(version, "triggers", trigger)

    def clip(self, version: int, streamer: str) -> None:
        """Note a clip."""
        self._add(version, "clips", streamer)

    def cleared(self, version: int, streamer: str) -> None:
        """Note that a streamer is held no longer."""
        self._add(version, "cleared", streamer)

    def cut(self, version: int) -> None:
        """Note that everything may have changed: from before ``version`` nobody can be brought up to date."""
        self._events.clear()
        self._complete_after = version

    def _add(self, version: int, kind: str, what: Any) -> None:
        if len(self._events) == _LOGGED:
            self._complete_after = self._events[0][0]
        self._events.append((version, kind, what))

    def streamers(self, since: int) -> list[str] | None:
        """Whom the events after the version ``since`` are about, each once; ``None`` if some are no longer known."""
        if since < self._complete_after:
            return None
        newest_first = takewhile(lambda event: event[0] > since, reversed(self._events))
        names = [what.streamer if isinstance(what, Trigger) else what for _, _, what in newest_first]
        return list(dict.fromkeys(reversed(names)))

    def put(self, since: int, changes: Changes) -> bool:
        """Put the events after ``since``, up to ``changes.version``, into it; tells if all of them are still known."""
        if since < self._complete_after:
            return False
        newest_first = takewhile(lambda event: event[0] > since, reversed(self._events))
        for version, kind, what in reversed(list(newest_first)):
            if version <= changes.version:
                getattr(changes, kind).append(what)
        return True
