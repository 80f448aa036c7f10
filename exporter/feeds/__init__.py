"""Feeds for the demo: recorded and simulated streams that update a store."""

from __future__ import annotations

from typing import Any, Protocol

from exporter.feeds.recorded import RecordedFeed, bundled
from exporter.feeds.simulated import SimulatedFeed

__all__ = ["Feed", "RecordedFeed", "SimulatedFeed", "StatsWriter", "bundled", "demo_feeds"]


class StatsWriter(Protocol):
    """The methods of a store that a feed calls."""

    def update_viewers(self, streamer: str, count: int, /) -> None:
        """Set the current number of viewers."""

    def update_velocity(self, streamer: str, velocity: float, /) -> None:
        """Set the chat velocity, in messages per minute."""

    def add_trigger(self, streamer: str, trigger_type: str, details: dict[str, Any] | None = None, /) -> None:
        """Count a trigger at the time of the store's clock."""

    def update_recording_status(self, streamer: str, recording: bool, /) -> None:
        """Set whether the stream is being recorded."""

    def increment_clips_today(self, streamer: str, /) -> None:
        """Count a clip."""

    def clear_streamer_stats(self, streamer: str, /) -> None:
        """Remove a streamer whose stream has ended."""


class Feed(Protocol):
    """A source of updates, driven by the time that the caller passes."""

    def advance(self, now: float) -> None:
        """Write all updates up to Unix time ``now``; a late call catches up."""


def demo_feeds(store: StatsWriter, *, seed: int, start: float, speed: float = 1.0) -> list[Feed]:
    """Return the feeds of the demo: the four bundled recordings and eight simulated streamers.

    All start at Unix time ``start``; the recordings play ``speed`` times as fast as recorded. Raises FeedError.
    """
    recorded = (RecordedFeed(store, recording, start=start, speed=speed) for recording in bundled())
    return [*recorded, SimulatedFeed(store, seed=seed, start=start)]
