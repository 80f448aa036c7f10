"""A real Prometheus that has scraped the demo's feed, faster than usual, and evaluated the rules."""

from __future__ import annotations

import re
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
from exporter.web.server import serve
from tests.dashboards.grafana import View
from tests.dashboards.truth import Truth
from tests.integration.prometheus import Prometheus, running_prometheus, scrape_config
from tooling.checkout import ROOT

SPEED: Final = 10
SCRAPE: Final = 1
PLAYED: Final = 75.0  # seconds: triggers need 30 s before and after them
RAIDED: Final = "raided"
# Whatever a clipper passes is a streamer's name.
ODD: Final = ("O'Brien", 'the "best"', "back\\slash", "a.b(c)|d*", "日本 🎬", "$1 {x} [y] +?^")
REJECTED: Final = 3
DEADLINE: Final = 60.0


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
def live(program: Path, folder: Path) -> Iterator[Live]:
    """Play the demo's feed and one raid, and stand still afterwards: the last scrape has the last numbers."""
    store = SharedStats.create(stale_after=0)
    truth = Truth(store, time.time)
    rules = folder / "rules.yml"
    rules.write_text(_faster((ROOT / "alerts/rules.yml").read_text(encoding="utf-8")), encoding="utf-8")
    # Without TLS, so that of the families an exporter can have, those about a certificate alone are missing.
    web_config = folder / "web.yml"
    web_config.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n", encoding="utf-8")
    with serve(0, stats=store, storage=folder / "storage", web_config=web_config) as server:
        configuration = scrape_config(server.url.removeprefix("http://"), interval=f"{SCRAPE}s")
        configuration += f"rule_files: ['{rules}']\n"
        with running_prometheus(program, folder, configuration) as prometheus:
            # Every counter is scraped at 0 before the first event.
            names = [
                *(file.name.removesuffix(".csv") for file in bundled()),
                *(name for name, _ in ROSTER),
                RAIDED,
                *ODD,
            ]
            for name in names:
                truth.update_viewers(name, 1000)
            prometheus.wait_for(
                "count(clipper_clips_total)", lambda samples: bool(samples) and samples[0].value == len(names), DEADLINE
            )
            start = time.time()
            _play(truth, start)
            # What was last written has been scraped, and the rules have seen it.
            ended = time.time()
            prometheus.wait_for(
                "min(timestamp(clipper_viewers)) and min(timestamp(streamer:clipper_viewers:ratio))",
                lambda samples: bool(samples) and samples[0].value > ended + SCRAPE,
                DEADLINE,
            )
            raid = f'ALERTS{{alertstate="firing", streamer="{RAIDED}", severity="warning"}}'
            prometheus.wait_for(raid, bool, DEADLINE)
            yield Live(prometheus, truth, start - 2 * SCRAPE, time.time())


def _play(truth: Truth, start: float) -> None:
    """Advance the feeds at ``SPEED``; raid one streamer near the end, and have some updates refused."""
    rejected = 0
    feeds = demo_feeds(truth, seed=1, start=start, speed=1)
    while (elapsed := time.time() - start) < PLAYED:
        for feed in feeds:
            feed.advance(start + elapsed * SPEED)
        raid = elapsed > PLAYED - 15
        truth.update_viewers(RAIDED, 4000 if raid else 1000)
        if raid and rejected < REJECTED:
            rejected += 1
            with suppress(InvalidUpdate):
                truth.store.update_viewers("xQc", -1)
        time.sleep(0.1)  # the pace of the feed; nothing is waited for


def _faster(rules: str) -> str:
    """The rules with every duration a fifth of what it is, as the scrape interval is here."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        group["interval"] = f"{SCRAPE}s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"(?<=\[)\w+(?=\])|(?<=offset )\w+", _fifth, rule["expr"])
            for key in {"for", "keep_firing_for"} & rule.keys():
                rule[key] = re.sub(r".+", _fifth, rule[key])
    text: str = yaml.safe_dump(document)
    return text


def _fifth(duration: re.Match[str]) -> str:
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration[0]).groups("0")  # type: ignore[union-attr]
    return f"{(int(minutes) * 60 + int(seconds)) * 200}ms"
