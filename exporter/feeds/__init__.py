"""Where numbers come from when no clipper calls: recorded streams, and simulated ones."""

from __future__ import annotations

from typing import Any, Protocol

from exporter.feeds.recorded import RecordedFeed, bundled
from exporter.feeds.simulated import SimulatedFeed

__all__ = ["Feed", "RecordedFeed", "SimulatedFeed", "StatsWriter", "bundled", "demo_feeds"]


class StatsWriter(Protocol):
    """The part of SharedStats that a feed writes through; RemoteStats has it too."""

    def update_viewers(self, streamer: str, count: int, /) -> None:
        """Set the viewers now."""

    def update_velocity(self, streamer: str, velocity: float, /) -> None:
        """Set the chat velocity, in messages per minute."""

    def add_trigger(self, streamer: str, trigger_type: str, details: dict[str, Any] | None = None, /) -> None:
        """Count a trigger, which the store stamps with its own clock."""

    def update_recording_status(self, streamer: str, recording: bool, /) -> None:
        """Set whether the stream is being recorded."""

    def increment_clips_today(self, streamer: str, /) -> None:
        """Count a clip."""

    def clear_streamer_stats(self, streamer: str, /) -> None:
        """Forget a streamer whose stream has ended."""


class Feed(Protocol):
    """A source of updates that follows a clock it is told."""

    def advance(self, now: float) -> None:
        """Write everything that has happened up to Unix time ``now``; a late call catches up."""


def demo_feeds(store: StatsWriter, *, seed: int, start: float, speed: float = 1.0) -> list[Feed]:
    """The demo: the four bundled recordings, next to eight simulated streamers.

    ``start`` is the Unix time at which all of them begin; the recordings play at ``speed`` times their own pace. Raises
    FeedError.
    """
    recorded = (RecordedFeed(store, recording, start=start, speed=speed) for recording in bundled())
    return [*recorded, SimulatedFeed(store, seed=seed, start=start)]
