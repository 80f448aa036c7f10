"""One run of the demo: it starts servers, shows the table, and leaves nothing behind."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import requests

from alerts import receivers
from tooling import alertmanager, demo_readings, native
from tooling.checkout import ROOT, ToolingError, say
from tooling.demo_readings import Columns, Stats, Verdict
from tooling.demo_screen import Line, Screen, alerts
from tooling.processes import Process, Server, free_port
from tooling.prometheus import Prometheus, running_prometheus
from tooling.promql import QueryError
from tooling.webhook import Webhook, running_webhook

READY_WITHIN: Final = 60.0
RIGHT_WITHIN: Final = 15.0  # three scrape intervals of prometheus.yml
SEED: Final = 11  # a raid in the third minute, the first in which the alert rules can tell one
_POLL: Final = 0.5
_FIRING: Final = 'ALERTS{alertstate="firing", topic="audience"}'


def run(prometheus: Path | None, seconds: float | None, alertmanager_program: Path | None) -> Verdict | None:
    """Run the demo for ``seconds`` of table, or until Ctrl-C; return the verdict, if Prometheus got as far as one.

    Raises ``ToolingError`` if a server ends or is not ready in time.
    """
    with tempfile.TemporaryDirectory(prefix="clipper-exporter-demo-") as folder, _Session(Path(folder)) as session:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, session.stop)
        try:
            session.start_exporter()
            if prometheus is not None:
                session.start_prometheus(prometheus, alertmanager_program)
        except KeyboardInterrupt:
            return None
        return session.show(seconds)


class _Session(ExitStack):
    """The demo's servers, which end with the context, and their files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._stopping = False
        self._processes: list[Process] = []
        self._exporter, self._alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self._stats = Stats(f"http://{self._exporter}")
        self._prometheus: Prometheus | None = None
        self._webhook: Webhook | None = None

    def stop(self, *_: object) -> None:
        """Ask the demo to end. A signal handler, so it takes no lock: the code that it interrupts may hold it."""
        self._stopping = True

    def start_exporter(self) -> None:
        """Start the exporter, and return when it is ready. This and the next method may raise ``KeyboardInterrupt``."""
        command = [sys.executable, "-P", "-m", "exporter", "demo", f"--web.listen-address={self._exporter}"]
        self._start(Server("clipper-exporter", [*command, f"--demo.seed={SEED}"], f"http://{self._exporter}/-/ready"))

    def start_prometheus(self, prometheus: Path, alertmanager_program: Path | None) -> None:
        """Start the two programs, or the one that there is; return when the exporter has been scraped."""
        port = free_port()
        local = {native.EXPORTER: self._exporter, native.PROMETHEUS: f"127.0.0.1:{port}", native.ALERTMANAGER: None}
        if alertmanager_program is not None:
            local[native.ALERTMANAGER] = self._alertmanager
            self._webhook = self.enter_context(running_webhook())
            file, data = self._folder / "alertmanager.yml", self._folder / "alertmanager"
            file.write_text(receivers.render({"CLIPPER_ALERTS_WEBHOOK_URL": self._webhook.url}), encoding="utf-8")
            self._start(alertmanager.server(alertmanager_program, file, data, f"http://{self._alertmanager}"))
        text = native.derive(native.CONFIGURATION.read_text(encoding="utf-8"), ROOT, local)
        with _waiting_for("prometheus"):
            running = running_prometheus(
                prometheus, self._folder, text, port=port, deadline=READY_WITHIN, pause=self._pause
            )
            self._prometheus = self.enter_context(running)
        self._processes.append(self._prometheus.process)
        with _waiting_for("the first scrape"):
            end = time.monotonic() + READY_WITHIN
            while not demo_readings.scraped(self._prometheus):
                if time.monotonic() > end:
                    raise ToolingError(f"Prometheus has not scraped the exporter within {READY_WITHIN:g} s")
                self._read()
                self._pause(_POLL / 5)

    def show(self, seconds: float | None) -> Verdict | None:
        """Draw the table every few seconds, for ``seconds`` or until the demo is asked to end.

        Returns the verdict on Prometheus, right if it was so within the last ``RIGHT_WITHIN`` seconds, or ``None`` if
        there is no Prometheus.
        """
        begun = time.monotonic()
        drawn = last_right = -float("inf")
        verdict: Verdict | None = None
        with Screen() as screen:
            screen.print(self._welcome())
            while True:
                now = time.monotonic()
                over = self._stopping or (seconds is not None and now - begun >= seconds)
                columns = self._read()
                if over or now - drawn >= (2 if screen.in_place else 5):
                    drawn = now
                    if self._prometheus is not None:
                        columns, verdict = _ask(self._prometheus, self._stats)
                        last_right = now if verdict.right else last_right
                    screen.draw(columns, self._footer(verdict))
                if over:
                    break
                time.sleep(_POLL)
        return Verdict(True, verdict.text) if verdict and now - last_right <= RIGHT_WITHIN else verdict

    def _start(self, server: Server) -> None:
        with _waiting_for(server.name):
            process = self.enter_context(Process(server, self._folder / f"{server.name}.log"))
            self._processes.append(process)
            process.wait_until_ready(READY_WITHIN, self._pause)

    def _pause(self, seconds: float) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        time.sleep(seconds)

    def _read(self) -> Columns:
        for process in self._processes:
            process.check()
        try:
            return self._stats.read()
        except requests.RequestException as error:
            raise ToolingError(f"the exporter does not answer: {error}") from error

    def _welcome(self) -> Iterator[Line]:
        yield "", ""
        yield "The demo is running. Open in a browser:", "bold"
        yield f"  http://{self._exporter}/  the live page", "bold cyan"
        if self._prometheus is not None:
            yield f"  {self._prometheus.url}/  Prometheus: queries, graphs, alerts", "cyan"
        if self._webhook is not None:
            yield f"  http://{self._alertmanager}/  Alertmanager: what it delivers", "cyan"
        yield "", ""

    def _footer(self, verdict: Verdict | None) -> Iterator[Line]:
        right, told = verdict or (True, "read from the exporter's /api/stats, without Prometheus")
        yield f"{datetime.now().astimezone():%H:%M:%S}  {told}", "green" if right else "red"
        prometheus = f"  Prometheus {self._prometheus.url}/" if self._prometheus is not None else ""
        yield f"exporter http://{self._exporter}/{prometheus}  (Ctrl-C ends the demo)", ""
        if self._prometheus is not None and self._webhook is not None:
            try:
                firing = [sample.labels for sample in self._prometheus.query(_FIRING)]
                yield from alerts(firing, self._webhook.messages())
            except QueryError as error:
                yield str(error), "red"


def _ask(prometheus: Prometheus, stats: Stats) -> tuple[Columns, Verdict]:
    """Return the table and the verdict that Prometheus's answers give; an empty table if it does not answer."""
    try:
        return demo_readings.read(prometheus), demo_readings.judge(prometheus, stats.snapshots)
    except QueryError as error:
        return ({}, {}, {}, {}), Verdict(False, str(error))


@contextmanager
def _waiting_for(what: str) -> Iterator[None]:
    """Say what the demo waits for, and how long it took; the line ends whatever happens."""
    say(f"waiting for {what} ...", end="")
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        say()
        raise
    say(f" there after {time.monotonic() - begun:.1f} s")
