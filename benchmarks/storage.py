"""What keeping counters on disk costs a clipper: the time of ``add_trigger`` with a storage and without, in turns.

Flat out, a hundred streamers' triggers are added as fast as one thread can; paced, 500 a second, as a clipper would on
its busiest day. Then how long one ``flush()`` takes, beside a thread that computes without a pause as well, and how
many pushes a second are answered by several clients at once.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import requests
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.storage.writer import Storage
from exporter.web.server import serve

STREAMERS: Final = [f"streamer {number}" for number in range(100)]
DETAILS: Final = {"viewer_count": 55000, "baseline": 40000, "ratio": 1.38}
PUSHERS: Final = 8


def main(arguments: list[str]) -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks storage", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="of each measurement; default: 7")
    parser.add_argument("--folder", help="on the disk to measure; default: a temporary one")
    given = parser.parse_args(arguments)
    flat: dict[bool, list[float]] = {False: [], True: []}
    paced: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(given.rounds):
        for stored in (False, True):
            with _store(given.folder if stored else None, stored=stored) as store:
                flat[stored].append(flat_out(store))
                paced[stored] += at_a_pace(store)
    told = [("flat out, median of rounds", flat), ("500 a second, median of calls", paced)]
    for name, took in told:
        without, with_storage = (statistics.median(took[stored]) * 1e6 for stored in (False, True))
        ratio = with_storage / without
        print(f"add_trigger, {name}: {without:.2f} us without, {with_storage:.2f} us with, ratio {ratio:.2f}")
    late = [sorted(paced[stored])[int(len(paced[stored]) * 0.99)] * 1e6 for stored in (False, True)]
    print(f"add_trigger, 500 a second, 99th percentile: {late[0]:.1f} us without, {late[1]:.1f} us with")
    with tempfile.TemporaryDirectory(dir=given.folder, ignore_cleanup_errors=True) as folder:
        store = SharedStats.create()
        storage = Storage(store, folder)
        for beside in ("nothing", "a thread that computes"):
            with _computing() if beside != "nothing" else nullcontext():
                took_flush = sorted(_flush(store, storage) for _ in range(100))
            print(
                f"flush() beside {beside}: median {took_flush[50] * 1e3:.2f} ms, longest {took_flush[-1] * 1e3:.2f} ms"
            )
        storage.close()
    for stored in (False, True):
        with tempfile.TemporaryDirectory(dir=given.folder, ignore_cleanup_errors=True) as folder:
            answered, commits = pushes(Path(folder) if stored else None)
        each = f", {commits} commits" if stored else ""
        print(f"pushes of one trigger, {PUSHERS} clients, {'with' if stored else 'without'}: {answered:.0f}/s{each}")
    return 0


@contextmanager
def _store(folder: str | None, *, stored: bool) -> Iterator[SharedStats]:
    store = SharedStats.create()
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as path:
        storage = Storage(store, path) if stored else None
        yield store
        if storage is not None:
            storage.close()


@contextmanager
def _computing() -> Iterator[None]:
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def flat_out(store: SharedStats, calls: int = 20_000) -> float:
    """Mean seconds of a call, one after the other."""
    began = time.perf_counter()
    for number in range(calls):
        store.add_trigger(STREAMERS[number % 100], "viewer_spike", DETAILS)
    return (time.perf_counter() - began) / calls


def at_a_pace(store: SharedStats, calls: int = 500) -> list[float]:
    """Seconds of each call, 500 a second."""
    took = []
    due = time.perf_counter()
    for number in range(calls):
        due += 0.002
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        store.add_trigger(STREAMERS[number % 100], "viewer_spike", DETAILS)
        took.append(time.perf_counter() - began)
    return took


def _flush(store: SharedStats, storage: Storage) -> float:
    store.add_trigger("xQc", "viewer_spike", DETAILS)
    began = time.perf_counter()
    storage.flush()
    return time.perf_counter() - began


def pushes(folder: Path | None, each: int = 250) -> tuple[float, int]:
    """Pushes answered in a second, and the commits that they took."""
    with serve(0, stats=SharedStats.create(), registry=CollectorRegistry(), storage=folder) as server:

        def push(client: int) -> None:
            with requests.Session() as session:
                for number in range(each):
                    trigger = {"streamer": "xQc", "type": "viewer_spike", "id": f"{client} {number}"}
                    session.post(f"{server.url}/api/stats", json={"triggers": [trigger]}).raise_for_status()

        began = time.perf_counter()
        with ThreadPoolExecutor(PUSHERS) as pool:
            list(pool.map(push, range(PUSHERS)))
        rate = PUSHERS * each / (time.perf_counter() - began)
        text = requests.get(f"{server.url}/metrics", timeout=10).text
    commits = [line for line in text.splitlines() if line.startswith("clipper_exporter_storage_commits_total ")]
    return rate, int(float(commits[0].split()[1])) if commits else 0
