"""A clipper's numbers, scraped by a real Prometheus and read back through PromQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import CLIPS, LAST_TRIGGER, LAST_UPDATE, RECORDING, TRIGGERS, UPDATES, VIEWERS
from exporter.store.shared import TRIGGER_TYPES
from exporter.web.server import Server, serve
from tests.conftest import INTERVAL, SharedPrometheus
from tests.targets import Target
from tooling.prometheus import Prometheus

pytestmark = pytest.mark.integration

WRITERS = 10
SECONDS_OF_WRITING = 2.0
HOSTILE = ['q"uote', "back\\slash", "new\nline", "tab\tcr\rnel\x85", "\u2028\u202eאב", "\U0001f3ae", 'a{b="c"} 1\n#']


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create()


@pytest.fixture
def server(store: SharedStats, target: Target) -> Iterator[Server]:
    with serve(target.port, stats=store, registry=CollectorRegistry()) as server:
        yield server


@pytest.fixture
def prometheus(server: Server, target: Target, shared_prometheus: SharedPrometheus) -> Prometheus:
    assert server.port == target.port
    shared_prometheus.prometheus.wait_until_scraped(target.job)
    return shared_prometheus.prometheus


def test_ten_threads_of_writers_and_promql_agrees(store: SharedStats, prometheus: Prometheus, target: Target) -> None:
    ends = time.monotonic() + SECONDS_OF_WRITING

    def write(number: int) -> tuple[int, int, bool, int]:
        """Act as the clipper's threads do; return what was written last, and how often."""
        name, value, recording, triggers, clips = f"streamer {number}", 0, False, 0, 0
        while time.monotonic() < ends:
            value += number + 1
            recording = not recording
            store.update_viewers(name, value)
            store.update_velocity(name, value / 4)
            store.update_recording_status(name, recording)
            store.add_trigger(name, TRIGGER_TYPES[value % len(TRIGGER_TYPES)], {"value": value})
            store.add_trigger("shared", "keyword")
            triggers += 2
            if value % 3 == 0:
                store.increment_clips_today(name)
                clips += 1
        return value, triggers, recording, clips

    with ThreadPoolExecutor(WRITERS) as pool:
        written = dict(enumerate(pool.map(write, range(WRITERS))))
    assert all(triggers > 100 for _, triggers, _, _ in written.values())

    names = [f"streamer {number}" for number in range(WRITERS)]
    viewers = {name: float(written[number][0]) for number, name in enumerate(names)}
    # A scrape that has somebody's last viewers may have come before the trigger that followed them.
    prometheus.wait_until_scraped(target.job, since=time.time())
    assert prometheus.values(VIEWERS.name, "streamer") == viewers
    fired = sum(triggers for _, triggers, _, _ in written.values())
    assert prometheus.value(f"sum({TRIGGERS.name})") == fired
    assert prometheus.value(f'sum({TRIGGERS.name}{{streamer="shared"}})') == fired / 2
    assert prometheus.values(RECORDING.name, "streamer") == {
        name: float(written[number][2]) for number, name in enumerate(names)
    }
    assert prometheus.values(CLIPS.name, "streamer") == {
        name: float(written[number][3]) for number, name in enumerate(names)
    } | {"shared": 0.0}
    updates = sum(triggers + 3 * triggers // 2 + clips for _, triggers, _, clips in written.values())
    assert prometheus.value(f'{UPDATES.name}{{via="local"}}') == updates


def test_the_first_trigger_is_visible_to_increase(store: SharedStats, prometheus: Prometheus) -> None:
    name = "first"
    store.update_viewers(name, 100)
    zero = f'{TRIGGERS.name}{{streamer="{name}",type="viewer_spike"}}'
    prometheus.wait_for(zero, lambda samples: [each.value for each in samples] == [0])
    before = time.time()
    store.add_trigger(name, "viewer_spike", {"spike": 50})
    after = time.time()
    # increase() extrapolates to the edges of its range: more than nothing, and not two.
    prometheus.wait_for(
        f"increase({zero.removesuffix('}')}}}[1m])",
        lambda samples: len(samples) == 1 and 0 < samples[0].value < 2,
    )
    assert prometheus.value(zero) == 1
    assert before <= prometheus.value(f'{LAST_TRIGGER.name}{{streamer="{name}"}}') <= after
    assert int(before) <= prometheus.value(f'{LAST_UPDATE.name}{{streamer="{name}"}}') <= after


def test_a_cleared_streamer_is_gone_within_three_scrapes(store: SharedStats, prometheus: Prometheus) -> None:
    every_series = '{streamer="ending"}'
    store.update_viewers("ending", 100)
    store.update_recording_status("ending", True)
    store.add_trigger("ending", "keyword")
    prometheus.wait_for(every_series, lambda samples: len(samples) == 9)
    store.clear_streamer_stats("ending")
    cleared = time.time()
    prometheus.wait_for(every_series, lambda samples: not samples)
    # When the answer was noticed depends on this machine; when the series ended is on record.
    [series] = prometheus.query_range(
        f'{VIEWERS.name}{{streamer="ending"}}', start=cleared - 2, end=cleared + 2, step=INTERVAL / 10
    )
    assert series.points[-1][0] - cleared <= 3 * INTERVAL


def test_hostile_names_arrive_as_they_are_and_add_no_line(store: SharedStats, prometheus: Prometheus) -> None:
    for number, name in enumerate(HOSTILE):
        store.update_viewers(name, number)
    expected = {name: float(number) for number, name in enumerate(HOSTILE)}
    prometheus.wait_for(
        VIEWERS.name, lambda samples: {each.labels["streamer"]: each.value for each in samples} == expected
    )
    assert prometheus.value("count(count by (__name__) ({streamer!=''}))") == 4


def test_writers_go_on_while_prometheus_is_away(store: SharedStats, server: Server) -> None:
    stop = threading.Event()
    counts: list[int] = []

    def write() -> None:
        count = 0
        while not stop.is_set():
            store.update_viewers("xQc", count)
            count += 1
        counts.append(count)

    writer = threading.Thread(target=write)
    writer.start()
    server.stop()
    stop.set()
    writer.join(10)
    assert store.viewer_counts["xQc"] == counts[0] - 1
