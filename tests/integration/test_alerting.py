"""From ``update_viewers`` to a webhook, with the real Prometheus and Alertmanager on the shipped configuration.

By default with a tenth of its durations; as it is where the test is marked heavy.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import yaml
from prometheus_client import CollectorRegistry

import exporter
from alerts import receivers
from exporter.store.shared import SharedStats
from tests.integration.alertmanager import running_alertmanager
from tests.quicker import quicker
from tests.samples import samples
from tooling import native
from tooling.checkout import ROOT
from tooling.processes import free_port
from tooling.prometheus import Prometheus, running_prometheus
from tooling.webhook import Message, Webhook, running_webhook

pytestmark = pytest.mark.integration

STREAMERS = [f"streamer {number}" for number in range(8)]
BASE = 1000
SPIKE = "ClipperViewerSpike"
DEADLINE = 180


class Clipper:
    """Writes every streamer's viewers all the time, never quite the same; ``write`` changes the level at once."""

    def __init__(self, store: SharedStats, pause: float) -> None:
        self._store = store
        self._pause = pause
        self._levels = dict.fromkeys(STREAMERS, BASE)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def write(self, streamer: str, viewers: int) -> float:
        """Write a new level; the Unix time at which it was written."""
        self._levels[streamer] = viewers
        self._store.update_viewers(streamer, viewers)
        return time.time()

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(self._pause):
            turn += 1
            for streamer, level in dict(self._levels).items():
                self._store.update_viewers(streamer, level + turn % 3)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as webhook:
        yield webhook


@pytest.fixture
def store() -> SharedStats:
    return SharedStats.create()


@pytest.fixture(params=[10, pytest.param(1, marks=pytest.mark.heavy)], ids=["a tenth", "as shipped"])
def factor(request: pytest.FixtureRequest) -> int:
    """How many times faster everything is."""
    found: int = request.param
    return found


@pytest.fixture
def alertmanager_url(factor: int, webhook: Webhook, alertmanager_program: Path, tmp_path: Path) -> Iterator[str]:
    configured = quicker(receivers.render({"CLIPPER_ALERTS_WEBHOOK_URL": webhook.url}), factor)
    with running_alertmanager(alertmanager_program, tmp_path / "alertmanager", configured) as url:
        yield url


@pytest.fixture
def prometheus(
    factor: int, store: SharedStats, alertmanager_url: str, prometheus_program: Path, tmp_path: Path
) -> Iterator[Prometheus]:
    with exporter.serve(0, stats=store, registry=CollectorRegistry()) as served:
        local = {
            native.EXPORTER: served.url.removeprefix("http://"),
            native.PROMETHEUS: f"127.0.0.1:{free_port()}",
            native.ALERTMANAGER: alertmanager_url.removeprefix("http://"),
        }
        text = native.derive(native.CONFIGURATION.read_text(encoding="utf-8"), ROOT, local)
        configuration = yaml.safe_load(quicker(text, factor))
        [shipped], configuration["rule_files"] = configuration["rule_files"], [str(tmp_path / "rules.yml")]
        (tmp_path / "rules.yml").write_text(quicker(Path(shipped).read_text(encoding="utf-8"), factor))
        with running_prometheus(
            prometheus_program, tmp_path / "prometheus", yaml.safe_dump(configuration)
        ) as prometheus:
            yield prometheus


def test_a_raid_is_one_message_and_its_end_another(
    factor: int, prometheus: Prometheus, webhook: Webhook, store: SharedStats
) -> None:
    began = time.time()
    with Clipper(store, 1 / factor) as clipper:
        prometheus.wait_for(
            "streamer:clipper_viewers:mean and streamer:clipper_viewers:expected",
            lambda samples: {sample.labels["streamer"] for sample in samples} == set(STREAMERS),
            deadline=DEADLINE,
        )
        assert webhook.messages() == []

        written = {}
        for streamer in STREAMERS:
            written[streamer] = clipper.write(streamer, BASE * 13 // 10)
            time.sleep(
                0.7 / factor
            )  # so that the raids come at different moments of the scrape and evaluation intervals
        webhook.wait_until(
            lambda: all(webhook.messages("firing", streamer=streamer) for streamer in STREAMERS),
            DEADLINE,
        )
        for streamer in STREAMERS:
            (message,) = webhook.messages(streamer=streamer)
            check_raid(message, streamer, "info", 1.3)
            # Not at the first evaluation that sees the raid, which may be one wrong number; at the second.
            spike = f'streamer:clipper_viewers:spike_ratio{{streamer="{streamer}"}}'
            seen = [
                moment for moment in samples(prometheus, spike, began, time.time()) if moment < message.fired + 0.001
            ]
            assert len(seen) == 2
            assert written[streamer] < seen[0] < seen[1] == pytest.approx(message.fired, abs=0.001)
            clipper.write(streamer, BASE)
        firing = [webhook.messages(streamer=streamer)[0].fired - written[streamer] for streamer in STREAMERS]
        delays = [webhook.messages(streamer=streamer)[0].at - written[streamer] for streamer in STREAMERS]
        print(f"update_viewers to firing: median {statistics.median(firing):.1f} s, worst {max(firing):.1f} s")
        print(f"update_viewers to webhook: median {statistics.median(delays):.1f} s, worst {max(delays):.1f} s")

        webhook.wait_until(
            lambda: all(webhook.messages("resolved", streamer=streamer) for streamer in STREAMERS), DEADLINE
        )

        again = STREAMERS[0]
        clipper.write(again, BASE * 3)
        webhook.wait_until(lambda: len(webhook.messages("firing", streamer=again)) == 2, DEADLINE)
        # Big this time; the small alert fires as well, and is inhibited.
        check_raid(webhook.messages(streamer=again)[-1], again, "warning", 3.0)

    assert [message.status for message in webhook.messages(streamer=again)] == ["firing", "resolved", "firing"]
    for streamer in STREAMERS[1:]:
        assert [message.status for message in webhook.messages(streamer=streamer)] == ["firing", "resolved"]


def check_raid(message: Message, streamer: str, severity: str, ratio: float) -> None:
    assert message.payload["groupLabels"] == {"alertname": SPIKE, "streamer": streamer}
    assert message.payload["receiver"] == severity
    (alert,) = message.payload["alerts"]
    assert alert["labels"] == {"alertname": SPIKE, "streamer": streamer, "severity": severity, "topic": "audience"}
    annotations = alert["annotations"]
    assert float(annotations["to"]) == pytest.approx(BASE * ratio, abs=3)
    assert float(annotations["ratio"]) == pytest.approx(float(annotations["to"]) / float(annotations["from"]), abs=0.01)
    assert annotations["from"] in annotations["description"]
    assert annotations["to"] in annotations["description"]
    assert streamer in annotations["summary"]
    assert annotations["dashboard_url"] == (
        f"http://localhost:3000/d/clipper-streamer?var-streamer={streamer.replace(' ', '+')}"
    )
    if ratio < 2:  # the mean before the second raid still remembers the first
        assert float(annotations["from"]) == pytest.approx(BASE, abs=3)
