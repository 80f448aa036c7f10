"""A recorded stream, replayed fast, is in Prometheus as it is in its file."""

from __future__ import annotations

import threading
import time

import pytest
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.feeds import RecordedFeed, bundled
from exporter.metrics import VIEWERS
from exporter.web.server import serve
from tests.conftest import StartPrometheus
from tests.integration.prometheus import scrape_config

pytestmark = pytest.mark.integration

SPEED = 50
INTERVAL = 0.1
SECONDS = 20.0  # of watching: a thousand seconds of the stream


def test_every_sample_is_the_row_in_force_give_or_take_one(start_prometheus: StartPrometheus) -> None:
    store = SharedStats.create()
    [asmr_night] = [recording for recording in bundled() if recording.name == "asmr-night.csv"]
    stop = threading.Event()
    with serve(0, stats=store, registry=CollectorRegistry()) as server:
        prometheus = start_prometheus(scrape_config(f"127.0.0.1:{server.port}", interval=f"{int(INTERVAL * 1000)}ms"))
        prometheus.wait_until_scraped()
        began = time.time()
        feed = RecordedFeed(store, asmr_night, start=began, speed=SPEED)

        def play() -> None:
            while not stop.wait(0.005):
                feed.advance(time.time())

        player = threading.Thread(target=play)
        player.start()
        try:
            name = f'{VIEWERS.name}{{streamer="asmr-night"}}'
            prometheus.wait_for(f"timestamp({name}) > {began + SECONDS}", bool, deadline=60)
        finally:
            stop.set()
            player.join(10)
        ended = began + SECONDS
        # timestamp() tells when each sample was scraped, which an evaluation's own time does not.
        scraped = prometheus.query_range(f"timestamp({name})", began, ended, INTERVAL)[0].points
        values = prometheus.query_range(name, began, ended, INTERVAL)[0].points
    viewers = [row.viewers for row in feed.rows]
    assert len(values) == len(scraped) > 0.95 * SECONDS / INTERVAL
    apart = []
    for (_, scraped_at), (_, value) in zip(scraped, values, strict=True):
        position = feed.position(scraped_at)
        assert position is not None
        nearby = [viewers[at] for at in (position.row - 1, position.row, position.row + 1) if 0 <= at < len(viewers)]
        assert value in nearby, f"{value} at {scraped_at - began:.3f} s, row {position.row}: {nearby}"
        apart.append(value != viewers[position.row])
    print(f"{len(values)} samples, {sum(apart)} of them one row off")
