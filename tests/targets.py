"""Ports that a Prometheus scrapes before anything listens there, each for one test.

Prometheus picks up new targets every five seconds. With targets that are known from its start, a test that serves on
one of them is scraped at the next interval.
"""

from __future__ import annotations

import socket
from typing import NamedTuple, Self


class Target(NamedTuple):
    """A port of 127.0.0.1, and the job under which Prometheus scrapes it."""

    job: str
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


class Targets:
    """Targets ``{prefix}-0``, ``{prefix}-1``, ...; their ports are reserved until they are taken."""

    def __init__(self, prefix: str, count: int) -> None:
        self._sockets = [socket.socket() for _ in range(count)]
        for reserved in self._sockets:
            # The servers under test set it too. Without it, a port is not free again at once.
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", 0))
        self.all = [Target(f"{prefix}-{at}", each.getsockname()[1]) for at, each in enumerate(self._sockets)]
        self._next = 0

    def take(self) -> Target:
        """Return a target that no test has had."""
        assert self._next < len(self.all), f"all {len(self.all)} targets are taken; give the fixture more"
        self._sockets[self._next].close()
        self._next += 1
        return self.all[self._next - 1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reserved in self._sockets:
            reserved.close()
