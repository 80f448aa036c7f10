"""The load of a soak, in a process of its own: those who push, those who listen, and those who send garbage.

Prints, as one JSON object, how often what happened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from typing import Any, Final

import requests

from benchmarks.soak_clients import subscribe
from benchmarks.soak_garbage import send_garbage
from exporter.store.shared import TRIGGER_TYPES

ROUND: Final = 10  # seconds in which every streamer is reported once, a tenth of them each second
_LEAVING: Final = 0.02  # the part of the streamers that leaves each round; as many others come
_TRIGGERS: Final = 5  # a second
_DEADLINE: Final = 30.0  # seconds for the answer to a push


class Fleet:
    """The streamers that are live. Half of those who leave are cleared, the others only fall silent."""

    def __init__(self, size: int, chance: random.Random) -> None:
        self._chance = chance
        self._names = [f"streamer {number}" for number in range(size)]
        self.seen = size

    def batch(self, second: int) -> dict[str, Any]:
        """Return the body of the push that is due in a second, counted from 0."""
        mine = range(second % ROUND, len(self._names), ROUND)
        cleared = []
        for place in self._chance.sample(mine, round(len(mine) * _LEAVING)):
            if self._chance.random() < 0.5:
                cleared.append(self._names[place])
            self._names[place] = f"streamer {self.seen}"
            self.seen += 1
        names = [self._names[place] for place in mine]
        fired = self._chance.sample(names, min(_TRIGGERS, len(names)))
        return {
            "source": "soak",
            "cleared": cleared,
            "viewer_counts": {name: self._chance.randrange(100_000) for name in names},
            "chat_velocities": {name: self._chance.uniform(0, 500) for name in names},
            "recording_status": {name: self._chance.random() < 0.5 for name in names},
            "triggers": [
                {
                    "streamer": name,
                    "type": self._chance.choice(TRIGGER_TYPES),
                    "details": {"viewer_count": 55_000, "baseline": 40_000, "ratio": 1.38},
                    "id": f"{second}-{number}",
                }
                for number, name in enumerate(fired)
            ],
            "clips": [{"streamer": name, "id": f"{second}"} for name in fired[:1]],
        }


def push(url: str, fleet: Fleet, seconds: float, tally: Counter[str]) -> list[float]:
    """Push a batch a second; return how long each answer took. Counts what was not answered with 200."""
    taken: list[float] = []
    began = time.monotonic()
    with requests.Session() as session:
        session.trust_env = False  # no proxy between two programs of one machine
        for second in count():
            time.sleep(max(0.0, began + second - time.monotonic()))
            before = time.monotonic()
            if before - began >= seconds:
                return taken
            try:
                status = str(session.post(url, json=fleet.batch(second), timeout=_DEADLINE).status_code)
            except requests.RequestException as problem:
                status = type(problem).__name__
            taken.append(time.monotonic() - before)
            tally["pushes"] += 1
            if status != "200":
                tally[f"push {status}"] += 1
    raise AssertionError("unreachable")


async def load(options: argparse.Namespace) -> dict[str, Any]:
    """Do it all at once for ``options.seconds``; return the counts and the 99th percentile of a push's seconds."""
    chance = random.Random(options.seed)  # noqa: S311 - a load, not a secret
    tally: Counter[str] = Counter()
    fleet = Fleet(options.streamers, chance)
    deadline = asyncio.get_running_loop().time() + options.seconds
    url = f"http://127.0.0.1:{options.port}/api/stats"
    pushing = asyncio.create_task(asyncio.to_thread(push, url, fleet, options.seconds, tally))
    garbage = [asyncio.create_task(send_garbage(options.port, tally, chance)) for _ in range(options.garbage)]
    clients = [
        subscribe(options.port, transport, reads=number % 2 == 0, deadline=deadline, tally=tally, chance=chance)
        for transport, number_of in (("sse", options.sse), ("socketio", options.socketio))
        for number in range(number_of)
    ]
    await asyncio.gather(*clients)
    taken = sorted(await pushing)
    for task in garbage:
        task.cancel()
    for task in garbage:
        with suppress(asyncio.CancelledError):
            await task
    return {**tally, "streamers seen": fleet.seen, "push p99": taken[len(taken) * 99 // 100]}


def main(arguments: list[str]) -> int:
    """Run the load and print what happened."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_load", description=__doc__)
    for name in ("port", "streamers", "sse", "socketio", "garbage", "seconds", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True, metavar="N")
    print(json.dumps(asyncio.run(load(parser.parse_args(arguments)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
