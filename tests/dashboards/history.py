"""Hours of a simulated clipper in a real Prometheus, without hours of waiting: its samples are written as blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from exporter.feeds import SimulatedFeed
from exporter.metrics import CHAT_VELOCITY, LAST_TRIGGER, RECORDING, TRIGGERS, VIEWERS
from exporter.scrape.exposition import Exposition
from exporter.store.shared import SharedStats
from tests.clock import FakeClock
from tests.dashboards.backfill import Backfill
from tests.dashboards.truth import Truth
from tooling.prometheus import Prometheus, running_prometheus, scrape_config

HOUR: Final = 3600
# A full hour, in the past.
END: Final = 1_768_644_000.0
STREAMERS: Final = 3
SCRAPE: Final = 5
# Scrapes come neither on a step of a graph nor on a tick of the simulation.
PHASE: Final = 3.2
_FAMILIES: Final = frozenset(family.name for family in (VIEWERS, CHAT_VELOCITY, RECORDING, TRIGGERS, LAST_TRIGGER))
# Prometheus deletes what is older than 15 days, unless it is told another age.
_KEEP: Final = "--storage.tsdb.retention.time=100y"


@dataclass(frozen=True, slots=True)
class History:
    """A Prometheus that holds ``seconds`` until ``end`` (Unix time, a full hour), and what really happened in them."""

    prometheus: Prometheus
    truth: Truth
    end: float
    seconds: float


@contextmanager
def history(prometheus: Path, promtool: Path, folder: Path, hours: int) -> Iterator[History]:
    """Simulate some hours, always the same ones, and run a Prometheus on them."""
    samples = Backfill(folder / "samples.txt")
    truth = _simulate(END - hours * HOUR - 600, END, samples)
    samples.make_blocks(promtool, folder / "prometheus/tsdb")
    configuration = scrape_config("127.0.0.1:1", interval="5s", job="nobody")
    with running_prometheus(prometheus, folder / "prometheus", configuration, arguments=[_KEEP]) as running:
        yield History(running, truth, END, hours * HOUR)


def _simulate(start: float, end: float, samples: Backfill) -> Truth:
    """Play a feed second by second, scrape it every five, and write what was scraped with its times."""
    clock = FakeClock(start)
    store = SharedStats.create(clock=clock)
    truth = Truth(store, clock)
    feed = SimulatedFeed(truth, seed=5, start=start, streamers=STREAMERS)
    exposition = Exposition(store, CollectorRegistry())
    while clock.now < end:
        feed.advance(clock.now)
        if clock.now % SCRAPE == 0:
            clock.pass_by(PHASE)
            text = exposition.scrape("application/openmetrics-text", "", _FAMILIES).body.decode()
            samples.scrape(text, clock.now)
            clock.pass_by(-PHASE)
        clock.pass_by(1)
    return truth
