"""``exporter.push()`` on a store of one's own: beside ``serve()`` and a storage, and whenever it comes in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry

import exporter
from exporter import SharedStats
from exporter.pusher.pusher import Pusher
from exporter.web.server import Server, serve
from tests.batches import apply
from tests.clock import FakeClock
from tests.fake_exporter import FakeExporter, answer_lost
from tests.interleaving import moments

URL = "http://exporter.invalid:9309"


@pytest.fixture
def far() -> SharedStats:
    return SharedStats.create()


@pytest.fixture
def far_server(far: SharedStats) -> Iterator[Server]:
    with serve(0, stats=far, registry=CollectorRegistry()) as server:
        yield server


def counted(store: SharedStats) -> dict[str, tuple[Any, ...]]:
    return {row.streamer: (row.viewers, row.velocity, row.recording, row.triggers, row.clips) for row in store.rows()}


def write_everything(store: SharedStats, name: str) -> None:
    store.update_viewers(name, 45000)
    store.update_velocity(name, 125.5)
    store.update_recording_status(name, True)
    store.add_trigger(name, "viewer_spike", {"spike": 15000})
    store.increment_clips_today(name)
    apply(store, {"viewer_counts": {f"{name} 2": 7}, "clips": [{"streamer": f"{name} 2"}]})


def test_a_store_is_served_pushed_and_stored_at_once(far: SharedStats, far_server: Server, tmp_path: Path) -> None:
    store = SharedStats.create()
    with (
        exporter.serve(0, stats=store, registry=CollectorRegistry(), storage=tmp_path) as server,
        exporter.push(far_server.url, stats=store) as pusher,
    ):
        write_everything(store, "xQc")
        answer = requests.post(server.url + "/api/stats", json={"clips": [{"streamer": "xQc"}]}, timeout=10)
        assert answer.json()["applied"] == 1
        text = requests.get(server.url + "/metrics", timeout=10).text
        assert '\nclipper_viewers{streamer="xQc"} 45000.0\n' in text
        assert '\nclipper_clips_total{streamer="xQc"} 2.0\n' in text
        assert pusher.flush(15)
        assert server.flush(15)
        assert far.get_all_stats() | {"last_updated": ""} == store.get_all_stats() | {"last_updated": ""}
        assert counted(far) == counted(store)
    with serve(0, stats=(again := SharedStats.create()), registry=CollectorRegistry(), storage=tmp_path):
        kept = {name: row[3:] for name, row in counted(store).items()}
        assert {name: row[3:] for name, row in counted(again).items()} == kept
        assert again.recent_triggers == store.recent_triggers


def test_gauges_from_before_are_sent_and_events_are_not(far: SharedStats, far_server: Server) -> None:
    store = SharedStats.create()
    write_everything(store, "before")
    with exporter.push(far_server.url, stats=store) as pusher:
        assert pusher.flush(15)
        assert far.viewer_counts == {"before": 45000, "before 2": 7}
        assert far.recording_status == {"before": True}
        assert (far.recent_triggers, far.get_clips_today("before")) == ([], 0)
        store.increment_clips_today("before")
        assert pusher.flush(15)
        assert far.get_clips_today("before") == 1
    assert pusher.dropped == {"queue_full": 0, "refused": 0, "closed": 0}


def test_the_shared_store_is_pushed_unless_another_is_given(
    far: SharedStats, far_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedStats, "_shared", SharedStats.create())
    with exporter.push(far_server.url) as pusher:
        exporter.shared_stats.update_viewers("xQc", 1)
        assert pusher.flush(15)
        assert far.viewer_counts == {"xQc": 1}


def test_a_reset_takes_away_what_was_pushed_and_nothing_else(far: SharedStats, far_server: Server) -> None:
    store = SharedStats.create()
    far.update_viewers("of another", 1)
    with exporter.push(far_server.url, stats=store) as pusher:
        write_everything(store, "xQc")
        assert pusher.flush(15)
        assert set(far.viewer_counts) == {"of another", "xQc", "xQc 2"}
        store.reset_all()
        assert pusher.flush(15)
        assert far.viewer_counts == {"of another": 1}
        write_everything(store, "xQc")
        assert pusher.flush(15)
        assert {name: row for name, row in counted(far).items() if name != "of another"} == counted(store)


def test_a_reset_over_a_way_that_fails_counts_nothing_twice() -> None:
    clock = FakeClock()
    far = FakeExporter(clock)
    store = SharedStats.create(clock=clock, stale_after=0)
    write_everything(store, "xQc")
    with Pusher(store, URL, transport=far, interval=0.001, jitter=lambda: 0.0) as pusher:
        for _ in range(3):
            far.incidents.append(answer_lost)
            store.reset_all()
            write_everything(store, "xQc")
            assert pusher.flush(15)
            assert counted(far.store) == counted(store)


class Unthreaded(Pusher):
    """Counts its starts instead."""

    starts = 0

    def _start(self) -> None:
        self.starts += 1


def test_a_change_while_it_comes_in_starts_it() -> None:
    for moment in moments(least=20):
        store = SharedStats.create(clock=FakeClock())
        made: list[Unthreaded] = []
        moment.watch(store)
        moment.meet(
            lambda made=made, store=store: made.append(Unthreaded(store, URL, transport=FakeExporter(FakeClock()))),  # type: ignore[misc]
            lambda store=store: store.update_viewers("xQc", 1),  # type: ignore[misc]
        )
        assert made[0].starts == 1
        assert [(each.streamer, each.value) for each in made[0].backlog.take(0).items] == [("xQc", 1)]  # type: ignore[union-attr]
