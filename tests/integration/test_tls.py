"""TLS, certificates of clients, and passwords: the documentation's snippets, with a real Prometheus as the client."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import trustme
from prometheus_client import CollectorRegistry

from exporter import SharedStats
from exporter.metrics import CERTIFICATE_EXPIRES, VIEWERS
from exporter.server import Server, serve
from tests.certificates import write_pair
from tests.conftest import StartPrometheus
from tests.integration.prometheus import Prometheus

pytestmark = pytest.mark.integration

DOCUMENT = Path(__file__).parents[2] / "docs" / "tls.md"
SNIPPETS = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL))
INTERVAL = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"


class Site:
    """A folder with the certificates of both sides, an exporter, and a Prometheus beside it."""

    def __init__(self, folder: Path, start_prometheus: StartPrometheus, running: ExitStack) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self._start = start_prometheus
        self._running = running
        write_pair(folder, self.authority)
        write_pair(folder, self.authority, "prometheus.example", stem="prometheus")
        (folder / "password.txt").write_text("change-me\n")

    def serve(self, snippet: str) -> Server:
        file = self.folder / "web.yml"
        file.write_text(SNIPPETS[f"exporter/{snippet}.yml"])
        store = SharedStats.create()
        store.update_viewers("xQc", 45000)
        return self._running.enter_context(serve(0, stats=store, registry=CollectorRegistry(), web_config=file))

    def scrape(self, snippet: str, server: Server) -> Prometheus:
        text = SNIPPETS[f"prometheus/{snippet}.yml"].replace("exporter.example:9309", f"127.0.0.1:{server.port}")
        # Prometheus, too, takes files to be beside its configuration, which here is in a folder of its own.
        text = re.sub(r"(_file: )(\S+)", lambda match: f"{match[1]}{self.folder / match[2]}", text)
        return self._start(INTERVAL + text)

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.folder / "ca.pem")
        return session


@pytest.fixture
def site(tmp_path: Path, start_prometheus: StartPrometheus) -> Iterator[Site]:
    with ExitStack() as running:
        yield Site(tmp_path, start_prometheus, running)


def problem(prometheus: Prometheus) -> str:
    """Return why the newest scrape failed, as Prometheus's page of targets has it; empty if it did not."""
    targets = prometheus.get("targets")["activeTargets"]
    return str(targets[0]["lastError"]) if targets else ""


def eventually[T](read: Callable[[], T], well: Callable[[T], bool], seconds: float = 20) -> T:
    deadline = time.monotonic() + seconds
    while not well(value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.05)
    return value
