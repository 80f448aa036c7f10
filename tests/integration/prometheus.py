"""A real Prometheus for one test: started on a free port with a configuration of the test's own, and ended with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tooling import servers
from tooling.processes import Process, Server, free_port
from tooling.prometheus import CLOCK_SLACK
from tooling.promql import PromQL


def scrape_config(
    target: str, *, interval: str = "200ms", job: str = "clipper-exporter", metrics_path: str = "/metrics"
) -> str:
    """Return a configuration that scrapes ``target`` (``host:port``) and evaluates rules every ``interval``."""
    return (
        f"global:\n"
        f"  scrape_interval: {interval}\n"
        f"  scrape_timeout: {interval}\n"
        f"  evaluation_interval: {interval}\n"
        f"scrape_configs:\n"
        f"  - job_name: {job}\n"
        f"    metrics_path: {metrics_path}\n"
        f"    static_configs:\n"
        f"      - targets: ['{target}']\n"
    )


class Prometheus(PromQL):
    """A running Prometheus: all of ``PromQL``, and the process (``process.pid``, ``process.last_lines()``)."""

    def __init__(self, process: Process, url: str) -> None:
        super().__init__(url)
        self.process = process

    def wait_until_scraped(self, job: str = "clipper-exporter", deadline: float = 15.0, *, since: float = 0.0) -> None:
        """Return when the newest scrape of all targets of ``job`` began after ``since`` (Unix time) and succeeded.

        Raises ``TimeoutError`` after ``deadline`` seconds. Prometheus hands itself new targets every 5 s, so the first
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
    program: Path, folder: Path, configuration: str, *, arguments: Sequence[str] = (), deadline: float = 30.0
) -> Iterator[Prometheus]:
    """Run ``program`` on the text ``configuration``, with its files in ``folder``, until the context is left.

    Raises ``ToolingError`` with its last log lines if it ends or is not ready within ``deadline`` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(configuration, encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(program),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *servers.page_arguments(program),
        *arguments,
    ]
    with Process(Server("Prometheus", command, f"{url}/-/ready"), folder / "prometheus.log") as process:
        process.wait_until_ready(deadline)
        yield Prometheus(process, url)
