"""The two sides of the push benchmark, each a process of its own: an exporter with its writer, and its clients."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import cycle
from typing import Any, Final

from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.live.hub import Hub
from exporter.metrics import LIVE_SUBSCRIBERS
from exporter.settings.options import ServeOptions
from exporter.web.app import create_app
from exporter.web.listener import listen
from exporter.web.server import Server

PERIOD: Final = 10.0  # seconds between two updates of one streamer
_BLOCK: Final = 500  # updates between two looks at the clock


def serve(streamers: int, interval: float) -> None:
    """Serve, print the port, and do what standard input says: a line with a work, and for how many seconds."""
    store = SharedStats.create(stale_after=0)
    names = [f"streamer-{number}" for number in range(streamers)]
    for name in names:
        store.update_viewers(name, 0)
    hub, options = Hub(store, interval), ServeOptions(port=0)
    app = create_app(options, store, CollectorRegistry(), hub)
    with Server(app, listen(options.listen), options, hub) as server:
        print(server.port, flush=True)
        for line in sys.stdin:
            work, seconds = line.split()
            print(_WORKS[work](store, hub, names, float(seconds)), flush=True)


def _subscribers(_: SharedStats, hub: Hub, __: list[str], seconds: float) -> int:
    time.sleep(seconds)
    return int(hub.own.registry.get_sample_value(LIVE_SUBSCRIBERS.name, {"transport": "sse"}) or 0)


def _play(store: SharedStats, hub: Hub, names: list[str], seconds: float) -> int:
    """Set each streamer's viewers once a period to the time that it is, in microseconds; returns the pushes made."""
    began, pushed = time.monotonic(), hub.pushed
    due = began
    for name in cycle(names):
        due += PERIOD / len(names)
        if due > began + seconds:
            break
        time.sleep(max(0.0, due - time.monotonic()))
        store.update_viewers(name, time.monotonic_ns() // 1000)
    return hub.pushed - pushed


def _write(store: SharedStats, _: Hub, names: list[str], seconds: float) -> str:
    """Set viewers as fast as possible.

    Returns the updates a second; the writer's own CPU time for one, in seconds; and the CPU time of the process's other
    threads for each second that passed.
    """
    source, count, began = cycle(names), 0, time.perf_counter()
    own, whole = time.thread_time(), time.process_time()
    while (now := time.perf_counter()) < began + seconds:
        for name, _number in zip(source, range(_BLOCK), strict=False):
            store.update_viewers(name, count)
        count += _BLOCK
    own, whole = time.thread_time() - own, time.process_time() - whole
    passed = now - began
    return f"{count / passed} {own / count} {(whole - own) / passed}"


_WORKS: Final = {"subscribers": _subscribers, "play": _play, "write": _write}


def follow(port: int, clients: int, every: int) -> None:
    """Subscribe that many clients until standard input ends; then print each latency of every ``every``-th, in ms."""
    print(json.dumps(asyncio.run(_follow(port, clients, every))))


async def _follow(port: int, clients: int, every: int) -> list[float]:
    latencies: list[float] = []
    streams = [
        asyncio.create_task(_stream(port, latencies if number % every == 0 else None)) for number in range(clients)
    ]
    await asyncio.to_thread(sys.stdin.read)
    for stream in streams:
        stream.cancel()
    await asyncio.wait(streams)
    return latencies


async def _stream(port: int, latencies: list[float] | None) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    writer.write(b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    if latencies is None:
        while await reader.read(1 << 16):
            pass
        return
    event = b""
    while line := await reader.readline():
        if line.startswith(b"event: "):
            event = line
        elif line.startswith(b"data: ") and event == b"event: update\n":
            latencies += _on_update(json.loads(line[6:]))


def _on_update(data: dict[str, Any]) -> list[float]:
    now = time.monotonic_ns() // 1000
    return [(now - written) / 1000 for written in data["viewer_counts"].values()]


if __name__ == "__main__":
    _, side, *numbers = sys.argv
    if side == "serve":
        serve(int(numbers[0]), float(numbers[1]))
    else:
        follow(int(numbers[0]), int(numbers[1]), int(numbers[2]))
