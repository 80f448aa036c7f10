from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from exporter.feeds import Feed, bundled, demo_feeds, run
from exporter.feeds.recorded import read_recording
from exporter.stats import SharedStats

START = 1_700_000_000.0


class EndAfter(threading.Event):
    """Sets itself after so many waits, and notes how long each was to be."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.left = waits
        self.timeouts: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.timeouts.append(timeout)
        self.left -= 1
        if not self.left:
            self.set()
        return self.is_set()


class Noting:
    """A feed that notes when it was advanced."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    def advance(self, now: float) -> None:
        self.calls.append(now)


class Failing:
    def advance(self, now: float) -> None:
        raise OSError(f"no numbers at {now}")


def test_run_advances_every_feed_to_the_same_moment_until_stopped() -> None:
    first, second = Noting(), Noting()
    feeds: Iterator[Feed] = iter((first, second))
    clock = iter((1.0, 1.5, 2.5, 99.0))
    stop = EndAfter(3)
    run(feeds, stop, clock=lambda: next(clock), interval=0.25)
    assert first.calls == second.calls == [1.0, 1.5, 2.5]
    assert stop.timeouts == [0.25] * 3


def test_run_does_nothing_once_stopped() -> None:
    feed, stop = Noting(), threading.Event()
    stop.set()
    run([feed], stop)
    assert feed.calls == []


def test_run_lets_through_what_a_feed_raises() -> None:
    with pytest.raises(OSError, match=r"no numbers at 7\.0"):
        run([Failing()], EndAfter(3), clock=lambda: 7.0)


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
