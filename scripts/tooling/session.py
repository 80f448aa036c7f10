"""One run of the demo: servers that start, a table that lives, and an end that leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import requests

from tooling import alertmanager, native, news, readings, servers, table
from tooling.agreement import Verdict
from tooling.checkout import ROOT, ToolingError, say
from tooling.processes import Process, Server, free_port
from tooling.promql import PromQL, QueryError
from tooling.screen import Screen
from tooling.webhook import Webhook, running_webhook

READY_WITHIN: Final = 60.0
RIGHT_WITHIN: Final = 15.0  # three scrape intervals of prometheus.yml
SEED: Final = 11  # a raid in the third minute, the first in which the alert rules can tell one
_POLL: Final = 0.5


@dataclass(slots=True)
class StopRequest:
    """Whether the demo was asked to end.

    A plain attribute, because signal handlers write it: an ``Event`` has a lock, which the code that a handler
    interrupts may hold, and then nothing goes on.
    """

    made: bool = False


class Stopped(Exception):
    """The demo was asked to end, by Ctrl-C or SIGTERM."""


class Session:
    """The demo's servers, all in ``folder``, from the first that starts until the context is left.

    ``stop`` is what signals set; every wait here ends soon after.
    """

    def __init__(self, folder: Path, stop: StopRequest) -> None:
        self._folder = folder
        self._stop = stop
        self._processes: list[Process] = []
        self._stack = ExitStack()
        self.exporter_url: Final = f"http://127.0.0.1:{free_port()}"
        self.prometheus: PromQL | None = None
        self._webhook: Webhook | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, prometheus: Path | None, alertmanager_program: Path | None) -> None:
        """Start the exporter, and the programs that there are; return when all are ready.

        Alertmanager hears of nothing without Prometheus, so it is not started without it.

        Raises ``ToolingError`` if one of them dies or is not ready in time, ``Stopped`` if the demo is to end.
        """
        self._run(_exporter(self.exporter_url))
        if prometheus is None:
            return
        alertmanager_url = None
        if alertmanager_program is not None:
            alertmanager_url = f"http://127.0.0.1:{free_port()}"
            self._webhook = self._stack.enter_context(running_webhook())
            self._run(_alertmanager(alertmanager_program, alertmanager_url, self._webhook.url, self._folder))
        url = f"http://127.0.0.1:{free_port()}"
        self._run(_prometheus(prometheus, url, self.exporter_url, alertmanager_url, self._folder))
        self.prometheus = PromQL(url)

    def show(self, seconds: float | None) -> Verdict | None:
        """Draw the table every few seconds, for ``seconds`` or until the demo is stopped.

        Returns the verdict on Prometheus at the end (right if it was so within the last ``RIGHT_WITHIN`` seconds), or
        ``None`` if there is no Prometheus.
        """
        stats, screen = readings.Stats(self.exporter_url), Screen()
        every = 2.0 if screen.in_place else 5.0
        if self.prometheus is not None:
            self._until("the first scrape", lambda: self._scraped(stats))
        say()
        begun = time.monotonic()
        drawn = last_right = -float("inf")
        verdict: Verdict | None = None
        while True:
            now = time.monotonic()
            over = self._stop.made or (seconds is not None and now - begun >= seconds)
            rows = self._read(stats)
            if over or now - drawn >= every:
                drawn = now
                if self.prometheus is not None:
                    rows, verdict = _answers(self.prometheus, stats)
                    last_right = now if verdict.right else last_right
                screen.draw([*table.lines(rows), *self._footer(verdict)])
            if over:
                break
            time.sleep(_POLL)
        if verdict is None or now - last_right > RIGHT_WITHIN:
            return verdict
        return Verdict(True, verdict.text)

    def _read(self, stats: readings.Stats) -> list[table.Row]:
        for process in self._processes:
            process.check()
        try:
            return readings.from_stats(stats.read(), datetime.now(UTC))
        except requests.RequestException as error:
            raise ToolingError(f"the exporter does not answer: {error}") from error

    def _scraped(self, stats: readings.Stats) -> bool:
        self._read(stats)
        return self.prometheus is not None and readings.scraped(self.prometheus)

    def _footer(self, verdict: Verdict | None) -> list[str]:
        urls = f"exporter {self.exporter_url}/"
        if self.prometheus is not None:
            urls += f"  Prometheus {self.prometheus.url}/"
        text = "read from the exporter's /api/stats, without Prometheus" if verdict is None else verdict.text
        return ["", f"{datetime.now().astimezone():%H:%M:%S}  {text}", f"{urls}  (Ctrl-C ends the demo)", *self._news()]

    def _news(self) -> list[str]:
        if self.prometheus is None or self._webhook is None:
            return []
        try:
            return news.lines(self.prometheus, self._webhook.messages())
        except QueryError as error:
            return [str(error)]

    def _run(self, server: Server) -> None:
        log = self._folder / f"{server.name}.log"
        process = self._stack.enter_context(Process(server, log))
        self._processes.append(process)
        self._until(server.name, process.is_ready)

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for ``condition``, with a dot for each second; the line on the screen ends whatever happens."""
        say(f"waiting for {what} ", end="")
        begun = time.monotonic()
        try:
            self._wait(what, condition)
        except (ToolingError, Stopped):
            say()
            raise
        say(f" there after {time.monotonic() - begun:.1f} s")

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        begun = dotted = time.monotonic()
        while not condition():
            now = time.monotonic()
            if now - dotted >= 1:
                dotted = now
                say(".", end="")
            if now - begun > READY_WITHIN:
                last = self._processes[-1]
                raise ToolingError(
                    f"{what}: not there after {READY_WITHIN:g} s; {last.server.name} wrote:\n{last.last_lines()}"
                )
            if self._stop.made:
                raise Stopped
            time.sleep(_POLL / 5)


def _answers(prometheus: PromQL, stats: readings.Stats) -> tuple[list[table.Row], Verdict]:
    """Return the table and the verdict that Prometheus's answers give; an empty table if it does not answer."""
    try:
        return readings.from_prometheus(prometheus), readings.verdict(prometheus, stats)
    except QueryError as error:
        return [], Verdict(False, str(error))


def _exporter(url: str) -> Server:
    address = url.removeprefix("http://")
    command = [sys.executable, "-P", "-m", "exporter", "demo", f"--web.listen-address={address}", f"--demo.seed={SEED}"]
    return Server("clipper-exporter", command, f"{url}/-/ready")


def _alertmanager(program: Path, url: str, webhook_url: str, folder: Path) -> Server:
    """Return Alertmanager as it is shipped, telling nobody but the demo."""
    configuration = folder / "alertmanager.yml"
    own = {name: value for name, value in os.environ.items() if not name.startswith("CLIPPER_ALERTS_")}
    subprocess.run(
        [sys.executable, str(ROOT / "alerts/receivers.py"), f"--output={configuration}"],
        env=own | {"CLIPPER_ALERTS_WEBHOOK_URL": webhook_url},
        check=True,
    )
    return alertmanager.server(program, configuration, folder / "alertmanager", url)


def _prometheus(program: Path, url: str, exporter_url: str, alertmanager_url: str | None, folder: Path) -> Server:
    local = {
        native.EXPORTER: exporter_url.removeprefix("http://"),
        native.PROMETHEUS: url.removeprefix("http://"),
        native.ALERTMANAGER: alertmanager_url and alertmanager_url.removeprefix("http://"),
    }
    configuration = folder / "prometheus.yml"
    text = native.CONFIGURATION.read_text(encoding="utf-8")
    configuration.write_text(native.derive(text, ROOT, local), encoding="utf-8")
    command = [
        str(program),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        *servers.page_arguments(program),
    ]
    return Server("prometheus", command, f"{url}/-/ready")
