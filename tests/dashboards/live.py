"""A real Prometheus that holds some minutes of the demo's feed up to now, and a raid that the rules have seen.

The minutes are played in no time: each scrape is asked of the served exporter under the time that it stands for, and
written as a block. From then on Prometheus scrapes and evaluates the shipped rules, once a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from exporter.errors import InvalidUpdate
from exporter.feeds import bundled, demo_feeds
from exporter.feeds.simulated import ROSTER
from exporter.store.shared import SharedStats
from exporter.web.server import Server, serve
from tests.dashboards.backfill import Backfill
from tests.dashboards.grafana import View
from tests.dashboards.truth import Truth
from tooling.checkout import ROOT
from tooling.processes import local_session
from tooling.prometheus import Prometheus, running_prometheus, scrape_config

SCRAPE: Final = 5
PLAYED: Final = 750  # seconds
RAIDED: Final = "raided"
ENDED: Final = "monster-hunter-2"
# Whatever a clipper passes is a streamer's name.
ODD: Final = ("O'Brien", 'the "best"', "back\\slash", "a.b(c)|d*", "日本 🎬", "$1 {x} [y] +?^")
REJECTED: Final = 3
DEADLINE: Final = 60.0
_OPENMETRICS: Final = {"Accept": "application/openmetrics-text;version=1.0.0"}


class Clock:
    """Unix time: ``now`` where that is set, else the machine's."""

    def __init__(self, now: float) -> None:
        self.now: float | None = now

    def __call__(self) -> float:
        return time.time() if self.now is None else self.now


@dataclass(frozen=True, slots=True)
class Live:
    """The Prometheus, what really happened, and the Unix times between which it happened."""

    prometheus: Prometheus
    truth: Truth
    start: float
    end: float

    def view(self, **variables: str | list[str]) -> View:
        """A dashboard that shows just this, with everything chosen that is not named."""
        everything = {"job": ["clipper-exporter"], "instance": "$__all", "streamer": "$__all", "type": "$__all"}
        return View(self.start, self.end, scrape=SCRAPE, variables={**everything, **variables})


@contextmanager
def live(program: Path, promtool: Path, folder: Path) -> Iterator[Live]:
    """Play the demo's feed up to now, then one raid, and stand still: the last scrape has the last numbers."""
    clock = Clock(time.time() - PLAYED)
    store = SharedStats.create(stale_after=0, clock=clock)
    truth = Truth(store, clock)
    rules = yaml.safe_load((ROOT / "alerts/rules.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        group["interval"] = "1s"
    (folder / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    # Without TLS, so that of the families an exporter can have, those about a certificate alone are missing.
    web_config = folder / "web.yml"
    web_config.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n", encoding="utf-8")
    with serve(0, stats=store, storage=folder / "storage", web_config=web_config) as server:
        samples = Backfill(folder / "samples.txt", f"127.0.0.1:{server.port}")
        start = _play(truth, clock, server, samples)
        samples.make_blocks(promtool, folder / "tsdb")
        clock.now = None
        configuration = scrape_config(f"127.0.0.1:{server.port}", interval="1s")
        configuration += f"rule_files: ['{folder / 'rules.yml'}']\n"
        with running_prometheus(program, folder, configuration) as prometheus:
            prometheus.wait_until_scraped(since=clock())
            truth.clear_streamer_stats(ENDED)
            truth.update_viewers(RAIDED, 4000)
            prometheus.wait_until_scraped(since=time.time())
            raid = f'ALERTS{{alertstate="firing", streamer="{RAIDED}", severity="warning"}}'
            prometheus.wait_for(raid, bool, DEADLINE)
            # The newest step of a graph is up to SCRAPE seconds old, and shows all of this too.
            end = time.time() + SCRAPE
            prometheus.wait_for(f"vector(time()) > {end:.3f}", bool, DEADLINE)
            yield Live(prometheus, truth, start - 2 * SCRAPE, end)


def _play(truth: Truth, clock: Clock, server: Server, samples: Backfill) -> float:
    """Play ``PLAYED`` seconds from the clock's time on, and scrape them; return when the first event could be."""
    store = truth.store
    # Every counter is scraped at 0 before the first event.
    names = [*(file.name.removesuffix(".csv") for file in bundled()), *(name for name, _ in ROSTER), RAIDED, *ODD]
    for name in names:
        truth.update_viewers(name, 1000)
    assert clock.now is not None
    start = clock.now
    with local_session() as session:

        def scrape() -> None:
            answer = session.get(f"{server.url}/metrics", headers=_OPENMETRICS, timeout=10)
            answer.raise_for_status()
            samples.scrape(answer.text, clock())
            # As there is one exporter, the maximum of all exporters is what it says.
            stats = store.get_all_stats()
            samples.record("streamer:clipper_viewers:max", stats["viewer_counts"], clock())
            samples.record("streamer:clipper_chat_velocity:max", stats["chat_velocities"], clock())
            recording = {name: float(on) for name, on in stats["recording_status"].items()}
            samples.record("streamer:clipper_recording:max", recording, clock())

        scrape()
        # Slowly enough that no recording ends: a block cannot say that a series did.
        feeds = demo_feeds(truth, seed=1, start=start, speed=0.4)
        for second in range(1, PLAYED):
            clock.now = start + second
            for feed in feeds:
                feed.advance(clock.now)
            truth.update_viewers(RAIDED, 1000)
            if second == PLAYED - 60:
                for _ in range(REJECTED):
                    with suppress(InvalidUpdate):
                        store.update_viewers("xQc", -1)
            if second % SCRAPE == 0:
                scrape()
    return start
