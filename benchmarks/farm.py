"""A real Prometheus that scrapes every second, while threads write as fast as they can."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.web.server import serve
from tooling import servers
from tooling.checkout import ToolingError
from tooling.prometheus import Prometheus, running_prometheus, scrape_config

_INTERVAL = 1.0


def main(arguments: list[str]) -> int:
    """Run it, print what Prometheus says, and return the exit status: 1 if a scrape failed or came late."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks farm", description=__doc__)
    parser.add_argument("--streamers", type=int, default=20_000, metavar="N", help="default: 20000")
    parser.add_argument("--writers", type=int, default=4, metavar="N", help="threads that write (default: 4)")
    parser.add_argument("--seconds", type=int, default=120, metavar="N", help="how long (default: 120)")
    options = parser.parse_args(arguments)
    try:
        program = servers.fetch("prometheus")
    except ToolingError as problem:
        print(problem, file=sys.stderr)
        return 1
    store, stop = SharedStats.create(), threading.Event()
    names = [f"streamer_{number}" for number in range(options.streamers)]
    for name in names:
        store.update_velocity(name, 1.5)
        store.update_recording_status(name, True)
    counts = [0] * options.writers

    def write(part: int) -> None:
        mine, value = names[part :: options.writers], 0
        while not stop.is_set():
            value += 1
            for name in mine:
                store.update_viewers(name, value)
            counts[part] += len(mine)

    writers = [threading.Thread(target=write, args=(part,), daemon=True) for part in range(options.writers)]
    with (
        tempfile.TemporaryDirectory(prefix="clipper-exporter-farm-") as folder,
        serve(0, stats=store, registry=CollectorRegistry()) as server,
        running_prometheus(
            program, Path(folder), scrape_config(f"127.0.0.1:{server.port}", interval=f"{_INTERVAL:.0f}s")
        ) as prometheus,
    ):
        prometheus.wait_until_scraped()
        for writer in writers:
            writer.start()
        began = time.time()
        while (left := began + options.seconds - time.time()) > 0:
            print(f"\r{left:4.0f} s left", end="", file=sys.stderr, flush=True)
            time.sleep(min(1.0, left))
        ended = time.time()
        stop.set()
        for writer in writers:
            writer.join()
        print("\r", end="", file=sys.stderr)
        return _report(prometheus, began, ended, sum(counts))


def _report(prometheus: Prometheus, began: float, ended: float, updates: int) -> int:
    window = f"[{int(ended - began)}s]"
    ups = _samples(prometheus, f"up{window}", ended)
    durations = [value for _, value in _samples(prometheus, f"scrape_duration_seconds{window}", ended)]
    failed = sum(value == 0 for _, value in ups)
    gaps = [after - before for (before, _), (after, _) in pairwise(ups)]
    late = sum(gap > 1.5 * _INTERVAL for gap in gaps)
    print(f"scrapes            {len(ups)}, failed {failed}, late {late} (longest gap {max(gaps):.3f} s)")
    print(
        f"scrape_duration    median {statistics.median(durations) * 1000:.0f} ms,"
        f" p99 {sorted(durations)[len(durations) * 99 // 100] * 1000:.0f} ms, worst {max(durations) * 1000:.0f} ms"
    )
    print(f"samples per scrape {prometheus.value('scrape_samples_scraped', ended):.0f}")
    print(f"updates            {updates / (ended - began):,.0f} a second")
    return 1 if failed or late else 0


def _samples(prometheus: Prometheus, selector: str, at: float) -> list[tuple[float, float]]:
    [series] = prometheus.get("query", query=selector, time=f"{at:.3f}")["result"]
    return [(float(moment), float(value)) for moment, value in series["values"]]
