"""A webhook that keeps what Alertmanager sends it: for the demo's screen, and for tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One notification: its payload, and the Unix time ``at`` which it arrived.

    The payload is described at https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
    """

    payload: dict[str, Any]
    at: float

    @property
    def status(self) -> str:
        """``firing``, or ``resolved`` when all alerts of the message are."""
        status: str = self.payload["status"]
        return status

    @property
    def fired(self) -> float:
        """The Unix time at which the first of the alerts began to fire."""
        return min(datetime.fromisoformat(alert["startsAt"]).timestamp() for alert in self.payload["alerts"])


class Webhook:
    """The messages that came so far, oldest first, and the ``url`` that they are sent to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._messages: list[Message] = []
        self._came = threading.Condition()

    def take(self, payload: dict[str, Any]) -> None:
        """Keep a message that arrives now."""
        with self._came:
            self._messages.append(Message(payload, time.time()))
            self._came.notify_all()

    def messages(self, status: str | None = None, **group: str) -> list[Message]:
        """Return the messages whose group has these labels, with this status if one is given."""
        with self._came:
            return [
                message
                for message in self._messages
                if (status is None or message.status == status)
                and group.items() <= message.payload.get("groupLabels", {}).items()
            ]

    def wait_for(self, deadline: float, **group: str) -> Message:
        """Return the first message whose group has these labels; raise ``TimeoutError`` after ``deadline`` seconds."""
        self.wait_until(lambda: bool(self.messages(**group)), deadline)
        return self.messages(**group)[0]

    def wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Return when ``condition``, asked after each message, holds; raise ``TimeoutError`` after ``deadline`` s."""
        with self._came:
            if not self._came.wait_for(condition, deadline):
                raise TimeoutError(f"not within {deadline:g} s; what came: {self._messages}")


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Listen for notifications on a free port of 127.0.0.1 until the context is left."""

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
