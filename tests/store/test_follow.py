"""Following a store: whoever missed something is told to start again."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry, generate_latest

from exporter import SharedStats
from exporter.scrape.collector import ClipperCollector
from exporter.scrape.exposition import Exposition
from exporter.store.journal import CAPACITY, Journal
from tests.clock import FakeClock


def test_a_full_journal_remembers_that_followers_have_to_start_again() -> None:
    journal = Journal(capacity=2)
    for version in (1, 2):
        journal.add(version, "clips", "xQc")
    journal.start_again(3)
    journal.add(4, "clips", "xQc")
    assert [journal.since(version)[1] for version in (2, 3, 4)] == [False, True, True]


def test_midnight_is_told_however_many_events_there_were() -> None:
    clock = FakeClock()
    clock.now = datetime(2026, 1, 17, 23, 59, tzinfo=UTC).timestamp()
    store = SharedStats.create(clock=clock, time_zone=ZoneInfo("UTC"), stale_after=0)
    for _ in range(CAPACITY):
        store.increment_clips_today("xQc")
    cursor = store.follow()
    clock.pass_by(120)
    store.increment_clips_today("shroud")
    changes = cursor.take()
    assert changes.start_again
    assert changes.clips_today == {"shroud": 1}
    assert changes.rows.column("clips") == [CAPACITY, 1]


def test_a_clock_that_is_set_back_is_seen_in_the_next_scrape() -> None:
    clock = FakeClock()
    store = SharedStats.create(clock=clock)
    store.update_viewers("xQc", 1)
    exposition = Exposition(store, CollectorRegistry(), clock=lambda: 0.0)
    exposition.scrape("", "", ())
    clock.pass_by(-1000)
    registry = CollectorRegistry()
    registry.register(ClipperCollector(store))
    line = next(
        line for line in generate_latest(registry).splitlines() if line.startswith(b"clipper_last_update_timestamp")
    )
    assert line in exposition.scrape("", "", ()).body
