"""The exposition of a seeded feed, byte for byte. ``pytest --update-golden`` writes it anew, to be read in the diff."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.feeds import demo_feeds
from exporter.scrape.exposition import Exposition
from tests.clock import FakeClock

GOLDEN = Path(__file__).parent / "golden" / "metrics.txt"
VERSIONS = re.compile(rb'python_version="[^"]+",version="[^"]+"')


def test_the_seeded_feed_is_rendered_as_it_was(pytestconfig: pytest.Config) -> None:
    clock = FakeClock()
    store = SharedStats.create(clock=clock)
    feeds = demo_feeds(store, seed=4, start=clock.now)
    for _ in range(240):
        clock.pass_by(1)
        for feed in feeds:
            feed.advance(clock.now)
    ticks = iter([0.0, 0.25, 1.0, 1.5])
    exposition = Exposition(store, CollectorRegistry(), clock=lambda: next(ticks))
    exposition.scrape("", "", ())
    rendered = VERSIONS.sub(b'python_version="3",version="0"', exposition.scrape("", "", ()).body)
    if pytestconfig.getoption("--update-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_bytes(rendered)
    assert rendered.decode() == GOLDEN.read_text(encoding="utf-8"), "if the change is meant, run with --update-golden"
