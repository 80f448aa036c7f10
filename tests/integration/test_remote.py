"""Clipper processes that push through RemoteStats while the way is cut and the exporter comes and goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from exporter import RemoteStats
from exporter.metrics import CLIPS, TRIGGERS, UPDATES
from tests.integration.cutting import CuttingProxy
from tests.waiting import wait_for
from tooling.processes import Process, Server, free_port

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
CLIPPERS = 4
EVENTS = 400
SEED = 9309


class Exporter:
    """A ``clipper-exporter serve`` on a port of its own, which may be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[Process]:
        command = [sys.executable, "-m", "exporter", "serve", f"--web.listen-address=127.0.0.1:{self.port}"]
        server = Server("clipper-exporter", command, f"{self.url}/-/ready", {"PYTHONPATH": str(ROOT)})
        with Process(server, self._folder / "exporter.log") as process:
            process.wait_until_ready()
            yield process

    def stats(self) -> Any:
        return requests.get(f"{self.url}/api/stats", timeout=10).json()

    def samples(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        text = requests.get(f"{self.url}/metrics", params={"name[]": name}, timeout=10).text
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture
def exporter(tmp_path: Path) -> Exporter:
    return Exporter(tmp_path)


class Clipper:
    """A process of ``tests/integration/clipper.py``."""

    def __init__(self, how: str, url: str, name: str, *arguments: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.clipper", how, url, name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def end(self) -> Any:
        """End it, and return what it says that it wrote."""
        said, _ = self._process.communicate("", timeout=90)
        assert self._process.returncode == 0
        return json.loads(said.splitlines()[-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def test_every_event_is_counted_exactly_once_however_often_the_way_is_cut(exporter: Exporter) -> None:
    names = [f"streamer {number}" for number in range(CLIPPERS)]
    with ExitStack() as stack:
        stack.enter_context(exporter.running())
        # An answer is some 230 bytes, a request some thousands: both are cut often, and at any place.
        proxy = stack.enter_context(CuttingProxy(("127.0.0.1", exporter.port), SEED, longest=(30_000, 1500)))
        clippers = [stack.enter_context(Clipper("busy", proxy.url, name, str(EVENTS))) for name in names]
        written = {clipper.name: clipper.end() for clipper in clippers}
        triggers = exporter.samples(TRIGGERS.name, "streamer", "type")
        clips = exporter.samples(CLIPS.name, "streamer")
        stats = exporter.stats()
    assert proxy.lost_requests > 10
    assert proxy.lost_answers > 10
    assert all(each["arrived"] and not any(each["dropped"].values()) for each in written.values())
    assert {key: count for key, count in triggers.items() if count} == {
        ("shared", "raid"): CLIPPERS * EVENTS,
        **{(name, "keyword"): EVENTS for name in names},
    }
    assert clips == {("shared",): 0, **{(name,): EVENTS // 2 for name in names}}
    assert stats["viewer_counts"] == {name: each["viewers"] for name, each in written.items()}
    assert stats["chat_velocities"] == {name: each["velocity"] for name, each in written.items()}
    assert stats["recording_status"] == {name: each["recording"] for name, each in written.items()}
    assert len(stats["recent_triggers"]) == 20


def test_gauges_are_right_again_after_every_restart(exporter: Exporter) -> None:
    names = [f"streamer {number}" for number in range(CLIPPERS)]
    quiet = names[::2]

    def right(started: float) -> bool:
        """Whether the exporter that has run since ``started`` knows everything, and what changes is newer."""
        stats = exporter.stats()
        return (
            stats["viewer_counts"] == {name: len(name) for name in names}
            and stats["recording_status"] == dict.fromkeys(names, True)
            and all(stats["chat_velocities"][name] == 0.5 for name in quiet)
            and all(stats["chat_velocities"][name] > started for name in names if name not in quiet)
        )

    def wait_until_right() -> None:
        started = time.time()
        wait_for(lambda: right(started))

    with ExitStack() as stack:
        with exporter.running() as process:
            clippers = [
                stack.enter_context(Clipper("quiet" if name in quiet else "lively", exporter.url, name))
                for name in names
            ]
            for clipper in clippers:
                clipper.wait_until_ready()
            wait_until_right()
            os.kill(process.pid, signal.SIGKILL)
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGTERM):
            with exporter.running() as process:
                wait_until_right()
                os.kill(process.pid, how)
        with exporter.running():
            wait_until_right()
            written = [clipper.end() for clipper in clippers]
    assert not any(count for each in written for count in each["dropped"].values())


def test_a_thousand_streamers_arrive_in_one_request(exporter: Exporter) -> None:
    with exporter.running(), RemoteStats(exporter.url, strict=True, interval=60) as stats:
        stats.update_viewers("first", 0)  # is sent at once, alone
        assert stats.flush(15)
        names = [f"streamer {number}" for number in range(1000)]
        for number, name in enumerate(names):
            stats.update_viewers(name, number)
            stats.update_velocity(name, number / 7)
            stats.update_recording_status(name, True)
            stats.add_trigger(name, "keyword")
        assert stats.flush(15)
        assert exporter.samples(UPDATES.name, "via")["http",] == 4001
        assert Counter(exporter.samples(TRIGGERS.name, "streamer", "type").values())[1.0] == 1000
        assert exporter.stats()["viewer_counts"] == stats.viewer_counts
