"""Live push: from update_viewers to a client's callback, and what 500 clients cost the writer."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.push_side import PERIOD
from exporter.live.hub import INTERVAL

CLIENTS: Final = (1, 500)
STREAMERS: Final = (50, 10_000)
GOAL: Final = 1.1  # how many times as long a writer may take with all those clients
_ROUND: Final = 3.0  # seconds, which is longer than the longest time between two pushes here
_REST: Final = 6.0  # seconds
_PROCESSES: Final = 2  # that share the clients
_MEASURED: Final = 20  # clients whose latencies are taken; the others read, and do not look
_ROOT: Final = Path(__file__).parents[1]


def main(arguments: list[str]) -> int:
    """Run the benchmark and print its tables; the exit status is 1 if the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks push", description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, metavar="N", help="default: 1 500")
    parser.add_argument("--streamers", type=int, nargs="+", default=STREAMERS, metavar="N", help="default: 50 10000")
    parser.add_argument("--seconds", type=float, default=15, metavar="S", help="of each latency (default: 15)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="for each side (default: 15)")
    options = parser.parse_args(arguments)
    print(f"Each streamer is updated every {PERIOD:.0f} s. Latencies in ms, from update_viewers to the callback.")
    print(f"{'streamers':>9} {'clients':>7} {'coalescing':>10} {'pushes/s':>8} {'p50':>8} {'p99':>8} {'worst':>8}")
    for streamers in options.streamers:
        for clients in options.clients:
            for interval in (INTERVAL, 0.0):
                _say(f"{streamers} streamers, {clients} clients, {interval} s between pushes ...")
                print(_latency(streamers, clients, interval, options.seconds), flush=True)
    missed = False
    print("\nUpdates a second by a writer that does nothing else, without clients and with them, in turn:")
    print(
        f"{'streamers':>9} {'clients':>7} {'without':>9} {'with':>9} {'slowdown':>8} {'pushing':>8} {'on idle cores'}"
    )
    for streamers in options.streamers:
        without, with_clients = _writers(streamers, max(options.clients), options.rounds)
        slowdown = without.rate / with_clients.rate
        # Where other programs want the cores as well, time says more about them. What an update costs its writer, and
        # what is taken away from it by the threads that push, do not depend on them: at most so much is lost to those.
        idle = with_clients.each / without.each / (1 - (with_clients.others - without.others))
        missed |= min(slowdown, idle) > GOAL
        print(
            f"{streamers:>9,} {max(options.clients):>7} {without.rate:>9,.0f} {with_clients.rate:>9,.0f}"
            f" {slowdown:>8.3f} {with_clients.others:>8.1%} {idle:>13.3f}"
        )
    print(f"Goal: a slowdown of at most {GOAL}. Pushing: CPU time of the threads that do it, in parts of a core.")
    return 1 if missed else 0


class _Written(NamedTuple):
    """What a writer did: updates a second, its CPU time for each, and the CPU time of others in a second."""

    rate: float
    each: float
    others: float


def _latency(streamers: int, clients: int, interval: float, seconds: float) -> str:
    with _exporter(streamers, interval) as exporter, _following(exporter, clients) as followers:
        # The snapshots that all of them got at once are work that the exporter rests from first.
        exporter.do("subscribers", _REST)
        pushes = float(exporter.do("play", seconds))
        exporter.do("subscribers", 2 * INTERVAL)
    latencies = sorted(latency for follower in followers for latency in follower.latencies)
    shown = [latencies[int(len(latencies) * part)] for part in (0.5, 0.99)] + latencies[-1:]
    name = f"{interval:g} s" if interval else "off"
    return f"{streamers:>9,} {clients:>7} {name:>10} {pushes / seconds:>8.1f}" + "".join(
        f" {latency:>8.1f}" for latency in shown
    )


def _writers(streamers: int, clients: int, rounds: int) -> tuple[_Written, _Written]:
    """Writers without clients, and with them: medians of rounds that take turns."""
    sides: tuple[list[_Written], list[_Written]] = ([], [])
    with _exporter(streamers, INTERVAL) as alone, _exporter(streamers, INTERVAL) as busy, _following(busy, clients):
        for number in range(rounds):
            _say(f"{streamers} streamers, round {number + 1} of {rounds} ...")
            for side, exporter in zip(sides, (alone, busy), strict=True):
                side.append(_Written(*map(float, exporter.do("write", _ROUND).split())))
                # What is still under way must not weigh on the other side.
                exporter.do("subscribers", 0.5)
    alone_, busy_ = (_Written(*map(statistics.median, zip(*side, strict=True))) for side in sides)
    return alone_, busy_


class _Exporter:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._answer())

    def do(self, work: str, seconds: float) -> str:
        """Have it do a work of :mod:`benchmarks.push_side`; returns what it printed."""
        print(work, seconds, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> str:
        line = next(self._process.stdout or iter(()), "")
        if not line:
            raise RuntimeError("the exporter ended; what it printed above says why")
        return line


class _Follower:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.latencies: list[float] = []

    def end(self) -> None:
        """Let its clients go, and take what they measured."""
        self.latencies = json.loads(self._process.communicate()[0])


@contextmanager
def _exporter(streamers: int, interval: float) -> Iterator[_Exporter]:
    with _side("serve", streamers, interval) as process:
        yield _Exporter(process)


@contextmanager
def _following(exporter: _Exporter, clients: int) -> Iterator[list[_Follower]]:
    """Clients in processes of their own, once all have subscribed; their latencies are there after the context."""
    processes = min(_PROCESSES, clients)
    every = max(1, clients // _MEASURED)
    with ExitStack() as stack:
        sides = [
            stack.enter_context(_side("follow", exporter.port, clients // processes, every)) for _ in range(processes)
        ]
        followers = [_Follower(process) for process in sides]
        while int(exporter.do("subscribers", 0.2)) < clients // processes * processes:
            if any(process.poll() is not None for process in sides):
                raise RuntimeError("the clients ended; what they printed above says why")
        yield followers
        for follower in followers:
            follower.end()


@contextmanager
def _side(*arguments: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.push_side", *map(str, arguments)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
