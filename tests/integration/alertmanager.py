"""A real Alertmanager for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tooling import alertmanager
from tooling.processes import Process, free_port


@contextmanager
def running_alertmanager(program: Path, folder: Path, configuration: str, deadline: float = 30.0) -> Iterator[str]:
    """Run ``program`` on the text ``configuration`` until the context is left; gives its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "alertmanager.yml"
    file.write_text(configuration, encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    server = alertmanager.server(program, file, folder / "data", url)
    with Process(server, folder / "alertmanager.log") as process:
        process.wait_until_ready(deadline)
        yield url
