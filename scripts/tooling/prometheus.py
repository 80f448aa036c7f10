"""A Prometheus to run: configuration text in, a client of its API out. For the demo, tests and benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tooling import servers
from tooling.processes import Process, Server, free_port
from tooling.promql import PromQL

# Seconds between the clock readings of two programs of one machine, of which Prometheus rounds to milliseconds.
CLOCK_SLACK: Final = 0.005


def scrape_config(
    target: str, *, interval: str = "200ms", job: str = "clipper-exporter", metrics_path: str = "/metrics"
) -> str:
    """Return a configuration that scrapes ``target`` (``host:port``) and evaluates rules every ``interval``."""
    return (
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval}}}\n"
        f"scrape_configs:\n"
        f"  - job_name: {job}\n"
        f"    metrics_path: {metrics_path}\n"
        f"    static_configs: [{{targets: ['{target}']}}]\n"
    )


def command(program: Path, configuration: Path, data: Path, address: str) -> list[str]:
    """Return the command line of Prometheus on the file ``configuration``, listening on ``address``."""
    return [
        str(program),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
        *servers.page_arguments(program),
    ]


class Prometheus(PromQL):
    """A running Prometheus: everything of ``PromQL``, and the ``process``."""

    def __init__(self, process: Process, url: str) -> None:
        super().__init__(url)
        self.process = process

    def wait_until_scraped(self, job: str = "clipper-exporter", deadline: float = 15.0, *, since: float = 0.0) -> None:
        """Return when the newest scrape of all targets of ``job`` began after ``since`` (Unix time) and succeeded.

        Raises ``TimeoutError`` after ``deadline`` seconds. Prometheus picks up new targets every 5 s, so the first
        scrape takes that long whatever the interval.
        """
        ups = f'up{{job="{job}"}}'
        self.wait_for(
            f"timestamp({ups}) * {ups}",  # 0 for one that failed
            lambda began: bool(began) and all(each.value > since + CLOCK_SLACK for each in began),
            deadline=deadline,
        )


@contextmanager
def running_prometheus(
    program: Path,
    folder: Path,
    configuration: str,
    *,
    port: int | None = None,
    arguments: Sequence[str] = (),
    deadline: float = 30.0,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[Prometheus]:
    """Run ``program`` on the text ``configuration`` until the context is left; it is ready when this yields it.

    It listens on ``port`` of 127.0.0.1, or on a free one, and keeps its files in ``folder``. ``arguments`` are added to
    its command line. Raises ``ToolingError`` with its last log lines if it ends or is not ready in ``deadline`` s.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file, address = folder / "prometheus.yml", f"127.0.0.1:{port or free_port()}"
    file.write_text(configuration, encoding="utf-8")
    line = [*command(program, file, folder / "tsdb", address), *arguments]
    server = Server("prometheus", line, f"http://{address}/-/ready")
    with Process(server, folder / "prometheus.log") as process:
        process.wait_until_ready(deadline, pause)
        yield Prometheus(process, f"http://{address}")
