from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry

from exporter import SharedStats, emit_stats_update, metrics
from exporter.web.server import serve
from tests.integration.socketio_page import page
from tests.live.test_events import sample
from tooling.node import Installed

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("transports", ["websocket", "polling", ""])
def test_a_page_of_the_old_module_works_unchanged(socketio_client: Installed, transports: str) -> None:
    store = SharedStats.create()
    store.update_viewers("ada \u2028❤", 1)
    store.add_trigger("ada \u2028❤", "keyword", {"word": 'a "quoted" \\ one\n'})
    with (
        serve(0, stats=store, registry=CollectorRegistry()) as server,
        page(socketio_client, server.url, transports) as old,
    ):
        old.wait_to_know(store.get_all_stats())  # as it asked
        store.update_viewers("ada \u2028❤", 2)
        old.wait_to_know(store.get_all_stats())  # as it changed
        store.reset_all()
        old.wait_to_know(store.get_all_stats())
        told = len(old.got("stats_update"))
        old.ask()
        old.wait_for("stats_update", told + 1)
        emit_stats_update()  # though nothing has changed
        old.wait_for("stats_update", told + 2)
        assert old.got("stats_update")[-2:] == [store.get_all_stats()] * 2
        assert sample(server, metrics.LIVE_SUBSCRIBERS, transport="socketio") == 1
        if transports:
            assert old.got("connect") == [transports]
        else:  # it begins with polling, and is on a WebSocket before it tells or after
            old.wait(lambda: ("connect", "websocket") in old.happened or ("upgrade", "websocket") in old.happened)
            store.update_viewers("grace", 3)
            old.wait_to_know(store.get_all_stats())

        server.stop()
        assert not server.running, "though a page is there"
        old.wait_for("disconnect")
        another = SharedStats.create()
        another.update_viewers("edsger", 1)
        with serve(server.port, stats=another, registry=CollectorRegistry()):
            old.wait_for("connect", 2)
            old.wait_to_know(another.get_all_stats())
            another.update_viewers("edsger", 2)
            old.wait_to_know(another.get_all_stats())


def test_pages_are_counted_until_they_go(socketio_client: Installed) -> None:
    store = SharedStats.create()
    with serve(0, stats=store, registry=CollectorRegistry()) as server:
        with page(socketio_client, server.url, "websocket") as one, page(socketio_client, server.url) as two:
            for each in (one, two):
                each.wait_for("stats_update")
            assert sample(server, metrics.LIVE_SUBSCRIBERS, transport="socketio") == 2
        deadline = time.monotonic() + 10
        while sample(server, metrics.LIVE_SUBSCRIBERS, transport="socketio"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
