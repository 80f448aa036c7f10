"""Ten minutes of everything at once, on an exporter of its own, watched by a real Prometheus.

Streamers come and go, live clients come and go and half of them never read, and garbage arrives all the time. The
exporter's memory must level off, every scrape must succeed, and nothing may be answered with an internal error.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from exporter.metrics import LIVE_SUBSCRIBERS, STREAMERS
from tooling import servers
from tooling.checkout import ToolingError
from tooling.processes import Process, Server, free_port
from tooling.prometheus import Prometheus, running_prometheus, scrape_config

INTERVAL: Final = 5  # seconds between scrapes
_MEMORY: Final = "process_resident_memory_bytes"
_STALE_AFTER: Final = 60  # seconds after which a streamer that fell silent is dropped
# As packaged. By default glibc keeps what large blocks leave behind, in the hope of using it again: freed memory that
# looks like a leak, and takes half as much again. https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
ALLOCATOR: Final = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
_ROOT: Final = Path(__file__).parents[1]
_MB: Final = 1e6


@dataclass(frozen=True, slots=True)
class Findings:
    """What a soak measured: points are (Unix seconds, value), memory in bytes and without the warm-up."""

    up: Sequence[tuple[float, float]]
    scrapes: Sequence[float]  # their seconds
    memory: Sequence[tuple[float, float]]
    load: Mapping[str, Any]
    errors: Sequence[str]  # of the exporter's log

    @property
    def growth(self) -> tuple[float, float]:
        """The slope of memory by least squares, in MB an hour, and its standard error."""
        moments, values = zip(*self.memory, strict=True)
        slope, intercept = statistics.linear_regression(moments, values)
        residuals = [value - slope * moment - intercept for moment, value in self.memory]
        spread = statistics.pvariance(moments) * len(moments)
        error = (sum(each * each for each in residuals) / (len(moments) - 2) / spread) ** 0.5
        return slope * 3600 / _MB, error * 3600 / _MB

    @property
    def slowest(self) -> float:
        """The 99th percentile of a scrape's seconds."""
        return sorted(self.scrapes)[len(self.scrapes) * 99 // 100]

    def missed(self, most_growth: float) -> Iterator[str]:
        """Yield the goals that were missed; ``most_growth`` is in MB an hour."""
        if failed := sum(value == 0 for _, value in self.up):
            yield f"{failed} scrapes failed"
        if late := sum(after - before > 1.5 * INTERVAL for (before, _), (after, _) in pairwise(self.up)):
            yield f"{late} scrapes came late"
        if self.growth[0] > most_growth:
            yield f"memory grows by {self.growth[0]:.1f} MB an hour, allowed are {most_growth:g}"
        if self.errors:
            yield f"{len(self.errors)} errors in the log, the first of them:\n{self.errors[0]}"
        # No request of a soak goes past a limit that is answered with a 5xx.
        wrong = ("push ", "garbage 5", "garbage not connected")
        for what, number in sorted(self.load.items()):
            if what != "push p99" and (what.startswith(wrong) or what.endswith(" lost")):
                yield f"{what}: {number}"


def main(arguments: list[str]) -> int:
    """Run it, print what came of it, and return the exit status: 1 if a goal was missed."""
    options = _parser().parse_args(arguments)
    try:
        findings = _soak(options)
    except ToolingError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(*_table(findings, options), sep="\n")
    missed = list(findings.missed(options.growth))
    print(*(f"missed: {goal}" for goal in missed), sep="\n", end="\n" if missed else "")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--minutes", type=float, default=10, metavar="N", help="how long (default: %(default)s)")
    add(
        "--warm-up",
        type=float,
        default=2,
        metavar="N",
        help="minutes not judged for memory (default: %(default)s)",
    )
    add("--streamers", type=int, default=10_000, metavar="N", help="live at once (default: %(default)s)")
    add("--sse", type=int, default=200, metavar="N", help="clients of the event stream (default: %(default)s)")
    add("--socketio", type=int, default=50, metavar="N", help="clients of Socket.IO (default: %(default)s)")
    add("--garbage", type=int, default=8, metavar="N", help="garbage requests at once (default: %(default)s)")
    # The heap settles for ten minutes, so that a short soak only tells a leak of some size. A long one tells more:
    # --minutes 60 --warm-up 20 --growth 20.
    add("--growth", type=float, default=150, metavar="MB", help="growth allowed an hour (default: %(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="of everything that is left to chance (default: %(default)s)")
    return parser


def _soak(options: argparse.Namespace) -> Findings:
    program = servers.fetch("prometheus")
    port = free_port()
    seconds = round(options.minutes * 60)
    with tempfile.TemporaryDirectory(prefix="clipper-exporter-soak-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "exporter", "serve", f"--web.listen-address=127.0.0.1:{port}"]
        command.append(f"--stats.stale-after={_STALE_AFTER}s")
        environment = {"PYTHONPATH": str(_ROOT), **ALLOCATOR}
        exporter = Server("the exporter", command, f"http://127.0.0.1:{port}/-/ready", environment)
        scraping = scrape_config(f"127.0.0.1:{port}", interval=f"{INTERVAL}s")
        with (
            Process(exporter, folder / "exporter.log") as process,
            running_prometheus(program, folder / "prometheus", scraping) as prometheus,
        ):
            process.wait_until_ready()
            prometheus.wait_until_scraped()
            began = time.time()
            load = _load(options, port, seconds, process, prometheus)
            ended = time.time()
            warm = began + options.warm_up * 60
            return Findings(
                up=_points(prometheus, "up", began, ended),
                scrapes=[value for _, value in _points(prometheus, "scrape_duration_seconds", began, ended)],
                memory=_points(prometheus, _MEMORY, warm, ended),
                load=load,
                errors=[line for line in _lines(process.log) if "level=error" in line or "Traceback" in line],
            )


def _load(
    options: argparse.Namespace, port: int, seconds: int, exporter: Process, prometheus: Prometheus
) -> dict[str, Any]:
    """Run the load to its end, telling every ten seconds how it goes."""
    command = [sys.executable, "-m", "benchmarks.soak_load", f"--port={port}", f"--seconds={seconds}"]
    command += [f"--{name}={getattr(options, name)}" for name in ("streamers", "sse", "socketio", "garbage", "seed")]
    began = time.monotonic()
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as load:
        try:
            while True:
                try:
                    output, _ = load.communicate(timeout=10)
                    break
                except subprocess.TimeoutExpired:
                    exporter.check()
                    _tell(time.monotonic() - began, prometheus)
        finally:
            load.kill()
    if load.returncode != 0:
        raise ToolingError(f"the load ended with status {load.returncode}")
    loaded: dict[str, Any] = json.loads(output)
    return loaded


def _tell(seconds: float, prometheus: Prometheus) -> None:
    shown = {
        "memory": (_MEMORY, 1 / _MB, "MB"),
        "streamers": (STREAMERS.name, 1, ""),
        "clients": (f"sum({LIVE_SUBSCRIBERS.name})", 1, ""),
        "scrape": ("scrape_duration_seconds", 1000, "ms"),
    }
    found = (
        f"{what} {sample.value * scale:,.0f}{unit}"
        for what, (expression, scale, unit) in shown.items()
        for sample in prometheus.query(expression)
    )
    print(f"{seconds:5.0f} s  {', '.join(found)}", file=sys.stderr, flush=True)


def _points(prometheus: Prometheus, name: str, began: float, ended: float) -> list[tuple[float, float]]:
    selector = f"{name}[{round((ended - began) * 1000)}ms]"
    [series] = prometheus.get("query", query=selector, time=f"{ended:.3f}")["result"]
    return [(float(moment), float(value)) for moment, value in series["values"]]


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def _table(findings: Findings, options: argparse.Namespace) -> Iterator[str]:
    growth, error = findings.growth
    levels = [value / _MB for _, value in findings.memory]
    failed = sum(value == 0 for _, value in findings.up)
    yield f"scrapes        {len(findings.up)}, failed {failed}, p99 {findings.slowest * 1000:.0f} ms,"
    yield f"               median {statistics.median(findings.scrapes) * 1000:.0f} ms"
    yield f"memory         {levels[0]:.1f} MB after {options.warm_up:g} min, {levels[-1]:.1f} MB at the end,"
    yield f"               between {min(levels):.1f} and {max(levels):.1f} MB"
    yield f"growth         {growth:+.1f} MB an hour (± {error:.1f}), {growth * 24:+.0f} MB a day"
    yield f"logged errors  {len(findings.errors)}"
    yield from (f"{what:30} {number:,.3g}" for what, number in sorted(findings.load.items()))
