"""A real Alertmanager for one test, and a webhook that keeps what it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tooling import alertmanager
from tooling.processes import Process, free_port


@dataclass(frozen=True, slots=True)
class Message:
    """One notification: its payload, and the Unix time at which it arrived.

    The payload is described at https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
    """

    payload: dict[str, Any]
    at: float


class Webhook:
    """The messages that came so far, oldest first, and the ``url`` that they are sent to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._messages: list[Message] = []
        self._came = threading.Condition()

    def take(self, payload: dict[str, Any]) -> None:
        with self._came:
            self._messages.append(Message(payload, time.time()))
            self._came.notify_all()

    def messages(self, status: str | None = None, **group: str) -> list[Message]:
        """The messages about the group with these labels, with this status if one is given."""
        with self._came:
            return [
                message
                for message in self._messages
                if status in {None, message.payload["status"]}
                and group.items() <= message.payload["groupLabels"].items()
            ]

    def wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Return when ``condition`` holds; it is asked after each message. Raises TimeoutError."""
        with self._came:
            if not self._came.wait_for(condition, deadline):
                raise TimeoutError(f"not within {deadline:g} s; came: {self._messages}")


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Listen for notifications on a free port until the context is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            webhook.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook = Webhook(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield webhook
        finally:
            server.shutdown()
            thread.join()


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
