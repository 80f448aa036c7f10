"""Checks that no accepted event is lost or counted twice when the exporter is killed repeatedly.

Triggers with ids are posted at a steady rate by several pushers that send again what was not answered, as a careful
clipper does. Meanwhile the exporter is killed (SIGKILL) at random moments, while it starts as well, and is started
again on the same folder and port. At the end its counters are compared with what was posted, every id is sent once
more, and a real Prometheus that has scraped all along is asked for increase().
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.crash_side import STREAMERS, Exporter, Pusher, post
from exporter.metrics import TRIGGERS, VIEWERS
from tooling import servers
from tooling.processes import Process, Server, free_port
from tooling.promql import PromQL

PUSHERS: Final = 4
LONGEST_LIFE: Final = 2.5  # seconds from a start to the kill
SCRAPES: Final = 0.5  # seconds
DEADLINE: Final = 60.0  # seconds for the last events to be taken


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run.

    ``recognised`` were counted before the kill took their answer away; ``increase`` and ``resets`` are PromQL's over
    all of it, ``slack`` says by how much of itself ``increase`` may be too large.
    """

    kills: int
    kills_while_starting: int
    seconds: float
    posted: int
    recognised: int
    lost: int
    twice: int
    unknown_ids: int
    counted: int
    resets: float | None
    increase: float | None
    slack: float

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, nothing counted twice, and Prometheus saw it so."""
        exact = self.lost == self.twice == self.unknown_ids == 0 and self.counted == self.posted
        if self.increase is None:
            return exact
        return exact and self.resets == 0 and self.posted <= self.increase <= self.posted * (1 + self.slack) + 0.01


def counters(url: str) -> Counter[tuple[str, str]]:
    """The trigger counters as a scrape has them, by streamer and type."""
    text = requests.get(f"{url}/metrics", timeout=10).text
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == TRIGGERS.name:
                found[sample.labels["streamer"], sample.labels["type"]] = int(sample.value)
    return found


def run(kills: int, rate: float, seed: int, prometheus: PromQL | None, exporter: Exporter) -> Outcome:
    """Kill ``exporter`` that often while ``rate`` triggers a second are posted to it, and compare.

    Raises ``RuntimeError`` for what must not happen at all: an exporter that ends by itself, an answer that is neither
    200 nor 503, events that are never taken.
    """
    moments = random.Random(seed)  # noqa: S311 - moments that nobody must guess are not the point
    began = time.time()
    exporter.start()
    _until(exporter.answers, "the exporter answers")
    zeros = {f"streamer {number}": 0 for number in range(STREAMERS)}
    requests.post(f"{exporter.url}/api/stats", json={"viewer_counts": zeros}, timeout=10).raise_for_status()
    if prometheus is not None:
        # Every series is there at 0 before the first event: what increase() sees is the events alone.
        prometheus.wait_for(f"count({VIEWERS.name})", lambda found: bool(found) and found[0].value == STREAMERS, 30)
    ended, faults = threading.Event(), list[str]()
    pushers = [Pusher(number, exporter.url, rate / PUSHERS, ended, faults) for number in range(PUSHERS)]
    for pusher in pushers:
        pusher.start()
    while_starting = 0
    try:
        for _ in range(kills):
            time.sleep(moments.uniform(0, LONGEST_LIFE))
            while_starting += not exporter.answers()
            exporter.kill()
            exporter.start()
        _until(exporter.answers, "the exporter answers")
    finally:
        ended.set()
        for pusher in pushers:
            pusher.join(DEADLINE)
    if faults or any(pusher.is_alive() for pusher in pushers):
        raise RuntimeError(faults[0] if faults else f"events were not taken within {DEADLINE:.0f} s")
    posted = Counter((streamer, kind) for pusher in pushers for streamer, kind, _ in pusher.taken)
    counted = counters(exporter.url)
    resets = increase = None
    slack = 0.0
    if prometheus is not None:
        total = f"sum({TRIGGERS.name})"
        prometheus.wait_for(total, lambda found: bool(found) and found[0].value == counted.total(), 30)
        now = time.time()
        window = f"{TRIGGERS.name}[{int(now - began) + 60}s]"
        increase = prometheus.value(f"sum(increase({window}))", now)
        resets = prometheus.value(f"sum(resets({window}))", now)
        # Prometheus goes on beyond the newest sample, for up to 1.1 times the mean distance of samples. A counter that
        # begins at 0 is not carried on before its oldest.
        slack = max(1.1 / (sample.value - 1) for sample in prometheus.query(f"count_over_time({window})", now))
    unknown = 0
    with requests.Session() as session:
        for pusher in pushers:
            for at in range(0, len(pusher.taken), 1000):
                events = pusher.taken[at : at + 1000]
                answer = post(session, f"{exporter.url}/api/stats", pusher.source, events, faults)
                unknown += len(events) if answer is None else answer["applied"]
    return Outcome(
        kills=kills,
        kills_while_starting=while_starting,
        seconds=time.time() - began,
        posted=posted.total(),
        recognised=sum(pusher.recognised for pusher in pushers),
        lost=(posted - counted).total(),
        twice=(counted - posted).total(),
        unknown_ids=unknown,
        counted=counted.total(),
        resets=resets,
        increase=increase,
        slack=slack,
    )


def _until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {DEADLINE:.0f} s")
        time.sleep(0.02)


def main(arguments: list[str]) -> int:
    """Run it and print what came of it; the exit status is 1 if anything was lost or counted twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="default: 50")
    parser.add_argument("--rate", type=float, default=500, help="triggers a second; default: 500")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills; default: 1")
    given = parser.parse_args(arguments)
    program = servers.find("prometheus")
    if program is None:
        print(f"without Prometheus: {servers.how_to_get('prometheus')}", file=sys.stderr)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        exporter = Exporter(folder)
        stack.callback(exporter.close)
        prometheus = None if program is None else stack.enter_context(scraping(program, folder, exporter.port))
        outcome = run(given.kills, given.rate, given.seed, prometheus, exporter)
    for field in fields(outcome):
        print(f"{field.name.replace('_', ' '):22}{getattr(outcome, field.name)}")
    print("passed" if outcome.passed else "FAILED")
    return 0 if outcome.passed else 1


@contextmanager
def scraping(program: Path, folder: Path, port: int) -> Iterator[PromQL]:
    """Run a Prometheus that scrapes ``port`` every half second."""
    configuration, own_port = folder / "prometheus.yml", free_port()
    configuration.write_text(
        f"global:\n  scrape_interval: {SCRAPES * 1000:.0f}ms\n  scrape_timeout: {SCRAPES * 1000:.0f}ms\n"
        f"scrape_configs:\n  - job_name: crash\n    static_configs:\n      - targets: ['127.0.0.1:{port}']\n",
        encoding="utf-8",
    )
    url = f"http://127.0.0.1:{own_port}"
    command = [
        str(program),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
        *servers.page_arguments(program),
    ]
    with Process(Server("Prometheus", command, f"{url}/-/ready"), folder / "prometheus.log") as process:
        process.wait_until_ready()
        yield PromQL(url)
