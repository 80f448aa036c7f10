from __future__ import annotations

from exporter.feeds import bundled, demo_feeds
from exporter.feeds.recorded import read_recording
from exporter.store.shared import SharedStats

START = 1_700_000_000.0


def test_the_demo_shows_twelve_streamers_within_ten_seconds() -> None:
    now = START
    store = SharedStats.create(clock=lambda: now)
    feeds = demo_feeds(store, seed=1, start=START)
    for second in range(10):
        now = START + second
        for feed in feeds:
            feed.advance(now)
    recorded = {"asmr-night", "minecraft-evening", "monster-hunter", "monster-hunter-2"}
    viewers = store.viewer_counts
    assert len(viewers) == 12
    assert recorded < set(viewers)
    assert set(store.chat_velocities) == set(store.recording_status) == set(viewers) - recorded


def test_the_demo_speeds_up_its_recordings_alone() -> None:
    def after_ten_seconds(speed: float) -> dict[str, float]:
        now = START + 10.25
        store = SharedStats.create(clock=lambda: now)
        for feed in demo_feeds(store, seed=1, start=START, speed=speed):
            feed.advance(now)
        return store.viewer_counts

    slow, fast = after_ten_seconds(1), after_ten_seconds(2)
    recordings = {source.name.removesuffix(".csv"): read_recording(source) for source in bundled()}
    rows_at_twice_the_pace = {"monster-hunter-2": 6}  # polled every 3 s, the others every 5 s
    expected = {name: rows[rows_at_twice_the_pace.get(name, 4)].viewers for name, rows in recordings.items()}
    assert fast == slow | expected
