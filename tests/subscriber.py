"""What a client of live push knows: the model that tests hold against the store."""

from __future__ import annotations

import json
from typing import Any

from exporter.live.hub import Push
from exporter.store.store import Stats
from exporter.store.triggers import RECENT_TRIGGERS

GAUGES = ("viewer_counts", "chat_velocities", "recording_status")


class Subscriber:
    """Applies what is pushed as the documentation of ``GET /api/stats`` says: nothing but events and their data."""

    def __init__(self) -> None:
        self.stats: dict[str, Any] = {}
        self.version: int | None = None
        self.events: list[str] = []

    def take(self, push: Push) -> None:
        self.apply(push.event, json.loads(push.data))
        self.version = push.version

    def apply(self, event: str, data: dict[str, Any]) -> None:
        self.events.append(event)
        if event == "snapshot":
            self.stats = data
            return
        assert event == "update"
        assert self.stats, "an update before there is anything to update"
        assert data.keys() <= {*GAUGES, "triggers", "clips", "cleared"}
        for streamer in data.get("cleared", ()):
            for gauge in GAUGES:
                self.stats[gauge].pop(streamer, None)
        for gauge in GAUGES:
            self.stats[gauge].update(data.get(gauge, {}))
        for trigger in data.get("triggers", ()):
            self._put(trigger)
        clips = self.stats["clips_today"]
        for clip in data.get("clips", ()):
            clips[clip["streamer"]] = clips.get(clip["streamer"], 0) + 1

    def _put(self, trigger: dict[str, Any]) -> None:
        recent: list[dict[str, Any]] = self.stats["recent_triggers"]
        newer = sum(other["timestamp"] > trigger["timestamp"] for other in recent)
        recent.insert(newer, trigger)
        del recent[RECENT_TRIGGERS:]

    def knows(self, stats: Stats) -> bool:
        """Whether it knows all that ``stats`` hold; when the last update was is told by snapshots alone."""
        return without_time(self.stats) == without_time(dict(stats))


def without_time(stats: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in stats.items() if key != "last_updated"}
