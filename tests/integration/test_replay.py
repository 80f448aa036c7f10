"""A recorded stream, replayed fast: every sample in Prometheus is a value that was in force while it was scraped."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right

import pytest
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.feeds import RecordedFeed, bundled
from exporter.metrics import VIEWERS
from exporter.web.server import serve
from tests.conftest import SharedPrometheus
from tests.samples import samples
from tests.targets import Target
from tooling.prometheus import CLOCK_SLACK

pytestmark = pytest.mark.integration

SPEED = 50
SCRAPES = 40


class Player(threading.Thread):
    """Plays a feed, and notes each update: its value, and the times just before and just after it."""

    def __init__(self, feed: RecordedFeed) -> None:
        super().__init__()
        self._feed = feed
        self._stop_request = threading.Event()
        self.values: list[int] = []
        self.began: list[float] = []
        self.done: list[float] = []

    def run(self) -> None:
        last = None
        while not self._stop_request.wait(0.005):
            began = time.time()
            self._feed.advance(began)
            position = self._feed.position(began)
            if position is not None and position != last:
                last = position
                self.values.append(self._feed.rows[position.row].viewers)
                self.began.append(began)
                self.done.append(time.time())

    def stop(self) -> None:
        self._stop_request.set()
        self.join(10)

    def in_force(self, first: float, last: float) -> set[int]:
        """Return the values that may have been in force from ``first`` to ``last`` (Unix times)."""
        return set(self.values[max(0, bisect_right(self.done, first) - 1) : bisect_left(self.began, last)])


def test_every_sample_was_in_force_when_it_was_scraped(shared_prometheus: SharedPrometheus, target: Target) -> None:
    store, prometheus = SharedStats.create(), shared_prometheus.prometheus
    [asmr_night] = [recording for recording in bundled() if recording.name == "asmr-night.csv"]
    with serve(target.port, stats=store, registry=CollectorRegistry()):
        prometheus.wait_until_scraped(target.job)
        feed = RecordedFeed(store, asmr_night, start=time.time(), speed=SPEED)
        player = Player(feed)
        player.start()
        try:
            mine = f'{{job="{target.job}"}}'
            prometheus.wait_for(
                f"count_over_time({VIEWERS.name}{mine}[1h])",
                lambda found: bool(found) and found[0].value >= SCRAPES,
                60,
            )
        finally:
            player.stop()
        now = time.time()
        scraped, took = (
            samples(prometheus, f"{name}{mine}", feed.start, now) for name in (VIEWERS.name, "scrape_duration_seconds")
        )
    assert len(scraped) >= SCRAPES
    for began, value in scraped.items():
        possible = player.in_force(began - CLOCK_SLACK, began + took[began] + CLOCK_SLACK)
        assert value in possible, f"{value:g} at {began - feed.start:.3f} s; in force: {sorted(possible)}"
    assert len(set(scraped.values())) > SCRAPES / 2, "the stream moved"
