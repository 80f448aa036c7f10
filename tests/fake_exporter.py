"""An exporter without a network: a real store behind a wire that a test can cut."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from exporter import SharedStats
from exporter.errors import InvalidBatch
from exporter.pusher.pusher import Pusher
from exporter.pusher.remote import RemoteStats
from exporter.pusher.transport import Answer
from exporter.store.validation import Limits
from tests.batches import apply
from tests.clock import FakeClock

Incident = Callable[["FakeExporter", bytes], Answer]


class FakeExporter:
    """Takes bodies as the transport of a RemoteStats; ``incidents`` are what happens to the next requests instead."""

    def __init__(self, clock: FakeClock, limits: Limits | None = None) -> None:
        self._clock = clock
        self._limits = limits
        self.bodies: list[dict[str, Any]] = []
        self.incidents: deque[Incident] = deque()
        self.restart()

    def restart(self) -> None:
        self.store = SharedStats.create(clock=self._clock, limits=self._limits, stale_after=300)

    def __call__(self, body: bytes) -> Answer:
        self.bodies.append(json.loads(body))
        if self.incidents:
            return self.incidents.popleft()(self, body)
        return self.answer(body)

    def answer(self, body: bytes) -> Answer:
        try:
            applied, duplicates = apply(self.store, body)
        except InvalidBatch as problem:
            return Answer(422, json.dumps({"error": "nothing was applied", "details": problem.mistakes}))
        return Answer(200, json.dumps({"applied": applied, "duplicates": duplicates, "instance": self.store.instance}))


def unreachable(_: FakeExporter, __: bytes) -> Answer:
    raise ConnectionError("connection refused")


def answer_lost(exporter: FakeExporter, body: bytes) -> Answer:
    exporter.answer(body)
    raise ConnectionError("connection reset")


def says(status: int, text: str = "", retry_after: float = 0.0) -> Incident:
    return lambda _, __: Answer(status, text, retry_after)


class _Unstarted(Pusher):
    def _start(self) -> None:
        """Start no thread."""


class DrivenRemote(RemoteStats):
    """Sends when a test says so, and not in a thread of its own; ``pauses`` are what it would have waited."""

    _make_pusher = _Unstarted

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pauses: list[float] = []

    def step(self, clock: FakeClock) -> float:
        pause = self._pusher.sender.step()
        self.pauses.append(pause)
        clock.pass_by(pause)
        return pause

    def deliver(self, clock: FakeClock, steps: int = 1000) -> None:
        """Step until all has arrived."""
        version, number = self.version, self.events
        while self._pusher.sender.since < version or not self._pusher.backlog.settled(number):
            assert steps, "it did not arrive"
            steps -= 1
            self.step(clock)
