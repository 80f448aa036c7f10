"""A day of a simulated clipper in a real Prometheus, without a day of waiting: its samples are written as blocks."""

from __future__ import annotations

import subprocess
import time
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
from tests.dashboards.truth import Truth
from tests.integration.prometheus import Prometheus, running_prometheus, scrape_config

DAY: Final = 24 * 3600
STREAMERS: Final = 3
SCRAPE: Final = 5
# Scrapes come neither on a step of a graph nor on a tick of the simulation.
PHASE: Final = 3.2
_FAMILIES: Final = frozenset(family.name for family in (VIEWERS, CHAT_VELOCITY, RECORDING, TRIGGERS, LAST_TRIGGER))
_TARGET: Final = '{job="clipper-exporter",instance="exporter:9309"'


@dataclass(frozen=True, slots=True)
class History:
    """A Prometheus that holds a day until ``end`` (Unix time, a full hour), and what really happened in it."""

    prometheus: Prometheus
    truth: Truth
    end: float


@contextmanager
def history(prometheus: Path, promtool: Path, folder: Path) -> Iterator[History]:
    """Simulate the day before the last full hour, and run a Prometheus on it."""
    end = time.time() // 3600 * 3600
    samples = folder / "samples.txt"
    truth = _simulate(end - DAY - 600, end, samples)
    storage = folder / "prometheus/tsdb"
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", str(samples), str(storage)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    samples.unlink()
    configuration = scrape_config("127.0.0.1:1", interval="5s", job="nobody")
    with running_prometheus(prometheus, folder / "prometheus", configuration) as running:
        yield History(running, truth, end)


def _simulate(start: float, end: float, samples: Path) -> Truth:
    """Play a feed second by second, scrape it every five, and write what was scraped with its times."""
    clock = FakeClock(start)
    store = SharedStats.create(clock=clock)
    truth = Truth(store, clock)
    feed = SimulatedFeed(truth, seed=5, start=start, streamers=STREAMERS)
    exposition = Exposition(store, CollectorRegistry())
    with samples.open("w", encoding="utf-8") as output:
        while clock.now < end:
            feed.advance(clock.now)
            if clock.now % SCRAPE == 0:
                clock.pass_by(PHASE)
                text = exposition.scrape("application/openmetrics-text", "", _FAMILIES).body.decode()
                for line in text.splitlines():
                    if not line.startswith("#"):
                        output.write(f"{line.replace('{', _TARGET + ',', 1)} {clock.now:.3f}\n")
                clock.pass_by(-PHASE)
            clock.pass_by(1)
        output.write("# EOF\n")
    return truth
