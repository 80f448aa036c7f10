"""One side of the exposition benchmark, in a process of its own: prints what it measured as JSON.

Both sides hold the shipped families with the same values: ours in a store, theirs in prometheus_client's own gauges and
counters, without creation times, which ours has none of.
"""

from __future__ import annotations

import gc
import gzip
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)

from exporter import SharedStats
from exporter.metrics import CHAT_VELOCITY, CLIPS, LAST_TRIGGER, LAST_UPDATE, RECORDING, TRIGGERS, VIEWERS, Family
from exporter.scrape.exposition import Exposition
from exporter.store.shared import TRIGGER_TYPES
from exporter.web.server import serve

_MEET: Final = 0.5  # seconds: a hundred times the interval at which CPython switches threads
_FETCH = """
import http.client, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=600)
began = time.perf_counter()
connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
connection.getresponse().read()
print(time.perf_counter() - began)
"""


class Side(Protocol):
    """What is measured of one side."""

    def update(self, streamer: str, viewers: float) -> None:
        """Set viewers, and with them the time of the last update."""

    def fill(self, streamer: str, number: int) -> None:
        """Report everything there is of a streamer."""

    def scrape(self) -> Any:
        """Render everything, into what the side's server sends."""

    def text(self) -> bytes:
        """Render everything, into one piece."""

    def compress(self, text: Any) -> Any:
        """Compress as the side's server does what :meth:`scrape` gave."""

    def serve(self) -> int:
        """Serve over HTTP, until the process ends; returns the port."""


class Ours:
    """The store and its exposition."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.store = SharedStats.create(stale_after=0, clock=clock)
        self._registry = CollectorRegistry()
        self.exposition = Exposition(self.store, self._registry)
        self.update = self.store.update_viewers

    def fill(self, streamer: str, number: int) -> None:
        self.store.update_viewers(streamer, number)
        self.store.update_velocity(streamer, number % 300 + 0.5)
        self.store.update_recording_status(streamer, number % 2 == 0)
        if number % 10 == 0:
            self.store.add_trigger(streamer, TRIGGER_TYPES[0])
            self.store.increment_clips_today(streamer)

    def scrape(self) -> Any:
        return self.exposition.scrape("", "", ())

    def text(self) -> bytes:
        return self.exposition.scrape("", "", ()).body

    def compress(self, text: Any) -> Any:
        from exporter.scrape.exposition import _gzip  # noqa: PLC0415 - the very function that a scrape calls

        return _gzip(text.parts)

    def serve(self) -> int:
        return serve(0, stats=self.store, registry=self._registry).port


class Theirs:
    """prometheus_client's own metrics and server."""

    def __init__(self, clock: Callable[[], float]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._registry = CollectorRegistry()
        self._viewers, self._velocity, self._recording, self._last_update, self._last_trigger = (
            self._metric(Gauge, family) for family in (VIEWERS, CHAT_VELOCITY, RECORDING, LAST_UPDATE, LAST_TRIGGER)
        )
        self._triggers, self._clips = (self._metric(Counter, family) for family in (TRIGGERS, CLIPS))

    def _metric(self, kind: Any, family: Family) -> Any:
        return kind(family.name, family.help, family.labels, registry=self._registry)

    def update(self, streamer: str, viewers: float) -> None:
        self._viewers.labels(streamer).set(viewers)
        self._last_update.labels(streamer).set(int(self._clock()))

    def fill(self, streamer: str, number: int) -> None:
        self.update(streamer, number)
        self._velocity.labels(streamer).set(number % 300 + 0.5)
        self._recording.labels(streamer).set(number % 2 == 0)
        self._clips.labels(streamer)
        for kind in TRIGGER_TYPES:
            self._triggers.labels(streamer, kind)
        if number % 10 == 0:
            self._triggers.labels(streamer, TRIGGER_TYPES[0]).inc()
            self._last_trigger.labels(streamer, TRIGGER_TYPES[0]).set(self._clock())
            self._clips.labels(streamer).inc()

    def scrape(self) -> bytes:
        return generate_latest(self._registry)

    text = scrape

    def compress(self, text: Any) -> Any:
        return gzip.compress(text)

    def serve(self) -> int:
        return int(start_http_server(0, "127.0.0.1", self._registry)[0].server_port)


_SIDES: Final[dict[str, Callable[[Callable[[], float]], Side]]] = {"ours": Ours, "theirs": Theirs}


def measure(name: str, size: int) -> dict[str, float]:
    """Measure the side called ``name`` with ``size`` streamers; times are in seconds, memory in bytes."""
    side = _SIDES[name](time.time)
    names = [f"streamer_{number}" for number in range(size)]
    repeats = max(1, 2_000 // size)
    gc.collect()
    before = _resident()
    for number, streamer in enumerate(names):
        side.fill(streamer, number)
    side.scrape()
    gc.collect()
    memory = (_resident() - before) / size
    values = iter(range(1000, 10**9, 7))
    found: dict[str, float] = {"memory": memory}
    found["update"] = _updates(side, names, values, threads=1)
    found["update, 4 threads"] = _updates(side, names, values, threads=4)
    some = random.Random(1).sample(names, max(1, size // 100))  # noqa: S311 - a sample of names, no secret
    for what, changed in (("everything changed", names), ("1 % changed", some), ("nothing changed", ())):
        taken = []
        for _ in range(repeats):
            value = next(values)
            for streamer in changed:
                side.update(streamer, value)
            taken.append(_time(side.scrape))
        found[f"scrape, {what}"] = statistics.median(taken)
    found["gzip"] = _compression(side, repeats)
    found |= _waits(side, names, values)
    port = side.serve()
    _fetch(port)  # the first one renders everything, whatever changed
    taken = []
    for _ in range(max(1, repeats // 10)):
        value = next(values)
        for streamer in names:
            side.update(streamer, value)
        taken.append(_fetch(port))
    found["HTTP scrape with gzip"] = statistics.median(taken)
    return found


def _compression(side: Side, repeats: int) -> float:
    text = side.scrape()
    return statistics.median(_time(lambda: side.compress(text)) for _ in range(repeats))


def _updates(side: Side, names: list[str], values: Iterator[int], *, threads: int) -> float:
    """Time an update while ``threads`` of them write, all from the same moment on, each for at least ``_MEET``."""
    together = threading.Barrier(threads + 1)
    ends = [0.0]
    written = [0] * threads

    def write(part: int) -> None:
        mine = names[part::threads] or names
        together.wait()
        while time.perf_counter() < ends[0]:
            value = next(values)
            for streamer in mine:
                side.update(streamer, value)
            written[part] += len(mine)

    writers = [threading.Thread(target=write, args=(part,)) for part in range(threads)]
    for writer in writers:
        writer.start()
    for streamer in names:  # the first round finds its memory cold
        side.update(streamer, next(values))
    began = time.perf_counter()
    ends[0] = began + _MEET
    together.wait()
    for writer in writers:
        writer.join()
    return (time.perf_counter() - began) / sum(written)


def _waits(side: Side, names: list[str], values: Iterator[int]) -> dict[str, float]:
    """How long a writer waits while a scrape renders, and how long the store's lock is held by one that does."""
    for streamer in names:
        side.update(streamer, next(values))
    done = threading.Event()
    waits: list[float] = []

    def write() -> None:
        while not done.is_set():
            for streamer in names[:1000]:
                began = time.perf_counter()
                side.update(streamer, began)
                waits.append(time.perf_counter() - began)

    writer = threading.Thread(target=write)
    with _held(side) as held:
        writer.start()
        side.scrape()
        done.set()
        writer.join()
    waits.sort()
    p99 = waits[len(waits) * 99 // 100]
    found = {"writer's wait, p99": p99, "writer's wait, worst": waits[-1]}
    return found | ({"lock held, worst": max(held)} if held else {})


@contextmanager
def _held(side: Side) -> Iterator[list[float]]:
    """Time, in thread time, every hold of our store's lock by the thread that scrapes."""
    held: list[float] = []
    if isinstance(side, Ours):
        lock, scraper = side.store._lock, threading.get_ident()

        class Timed:
            def __enter__(self) -> None:
                lock.acquire()
                self.began = time.thread_time()

            def __exit__(self, *_: object) -> None:
                if threading.get_ident() == scraper:
                    held.append(time.thread_time() - self.began)
                lock.release()

        side.store._lock = Timed()  # type: ignore[assignment]
        yield held
        side.store._lock = lock
    else:
        yield held


def digest(name: str, size: int) -> str:
    """Fill a side at a fixed time, and return a digest of the samples of the store's families, in any order."""
    side = _SIDES[name](lambda: 1_768_645_800.0)
    for number in range(size):
        side.fill(f"streamer_{number}", number)
    families = (VIEWERS, CHAT_VELOCITY, RECORDING, TRIGGERS, CLIPS, LAST_TRIGGER, LAST_UPDATE)
    wanted = {family.name.encode() for family in families}
    lines = sorted(line for line in side.text().splitlines() if line.partition(b"{")[0] in wanted)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _fetch(port: int) -> float:
    done = subprocess.run([sys.executable, "-c", _FETCH, str(port)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


if __name__ == "__main__":
    work = {"digest": digest, "measure": measure}[sys.argv[1]]
    print(json.dumps(work(sys.argv[2], int(sys.argv[3]))), flush=True)
    os._exit(0)  # without waiting for the servers' threads
