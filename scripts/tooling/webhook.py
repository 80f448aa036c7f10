"""A webhook that keeps what Alertmanager sends it: for the demo's screen, and for tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Message(NamedTuple):
    """One notification: its payload, and the Unix time ``at`` which it arrived.

    The payload is described at https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
    """

    payload: dict[str, Any]
    at: float

    @property
    def status(self) -> str:
        """``firing``, or ``resolved`` when all alerts of the message are."""
        return str(self.payload["status"])

    @property
    def fired(self) -> float:
        """The Unix time at which the first of the alerts began to fire."""
        return min(datetime.fromisoformat(alert["startsAt"]).timestamp() for alert in self.payload["alerts"])


class Webhook:
    """The messages received so far, oldest first, and the ``url`` that they are sent to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Message] = []
        self.changed = threading.Condition()

    def messages(self, status: str | None = None, **group: str) -> list[Message]:
        """Return the messages whose group has these labels, with this status if one is given."""
        with self.changed:
            found = [each for each in self.received if group.items() <= each.payload.get("groupLabels", {}).items()]
        return [message for message in found if status is None or message.status == status]

    def wait_for(self, deadline: float, **group: str) -> Message:
        """Return the first message whose group has these labels; raise ``TimeoutError`` after ``deadline`` seconds."""
        self.wait_until(lambda: bool(self.messages(**group)), deadline)
        return self.messages(**group)[0]

    def wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Return when ``condition``, checked after each message, holds; raise ``TimeoutError`` after ``deadline`` s."""
        with self.changed:
            if not self.changed.wait_for(condition, deadline):
                raise TimeoutError(f"not within {deadline:g} s; received: {self.received}")


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Listen for notifications on a free port of 127.0.0.1 until the context is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with webhook.changed:
                webhook.received.append(Message(payload, time.time()))
                webhook.changed.notify_all()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook = Webhook(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield webhook
        finally:
            server.shutdown()
            thread.join()
