"""What is served passes Prometheus's own linter."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from exporter import SharedStats
from exporter.feeds import demo_feeds
from exporter.web.server import serve
from tests.clock import FakeClock

pytestmark = pytest.mark.integration


def test_check_metrics_has_nothing_to_say(promtool: Path) -> None:
    clock = FakeClock()
    store = SharedStats.create(clock=clock)
    feeds = demo_feeds(store, seed=4, start=clock.now)
    for _ in range(300):
        clock.pass_by(1)
        for feed in feeds:
            feed.advance(clock.now)
    with serve(0, stats=store) as server:
        exposition = requests.get(server.url + "/metrics", timeout=10).text
        exposition = requests.get(server.url + "/metrics", timeout=10).text  # with the numbers of a previous scrape
    assert exposition.count("\nclipper_") > 100
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposition, capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
