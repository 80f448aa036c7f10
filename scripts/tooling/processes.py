"""Server processes that end with the program that started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import requests

from tooling.checkout import ToolingError

GRACE: Final = 6.0  # seconds between SIGTERM and SIGKILL; every server here needs less when it is well
_POLL: Final = 0.05


class Server(NamedTuple):
    """A server to run: its name for people, its command, the URL that answers 2xx when it is ready, its variables."""

    name: str
    command: Sequence[str]
    ready_url: str
    environment: Mapping[str, str] = {}


class Process(AbstractContextManager["Process"]):
    """A running server in a process group of its own; its output goes to ``log``. Leaving the context stops it."""

    def __init__(self, server: Server, log: Path, grace: float = GRACE) -> None:
        self._grace = grace
        self.server = server
        self.log = log
        try:
            with log.open("wb") as output:
                self._popen = subprocess.Popen(
                    server.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **server.environment},
                    start_new_session=True,
                )
        except OSError as error:
            raise ToolingError(f"cannot start {server.name} ({server.command[0]}): {error.strerror}") from error
        self.pid: Final = self._popen.pid  # of the process and of its group

    def check(self) -> None:
        """Raise ``ToolingError`` with the status and the last lines if the process has ended."""
        if (status := self._popen.poll()) is not None:
            raise ToolingError(f"{self.server.name} ended with status {status}; its last lines:\n{self.last_lines()}")

    def last_lines(self, count: int = 12) -> str:
        """Return the end of what the process has written, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-count:]) or "  (it wrote nothing)"

    def wait_until_ready(self, deadline: float = 30.0, pause: Callable[[float], object] = time.sleep) -> None:
        """Return when the ready URL answers 2xx.

        Raises ``ToolingError`` with the last lines if the process ends, and after ``deadline`` seconds.
        """
        end = time.monotonic() + deadline
        with local_session() as session:
            while time.monotonic() < end:
                self.check()
                with suppress(requests.RequestException):
                    if session.get(self.server.ready_url, timeout=2).ok:
                        return
                pause(_POLL)
        raise ToolingError(
            f"{self.server.name} was not ready within {deadline:g} s ({self.server.ready_url}); "
            f"its last lines:\n{self.last_lines()}"
        )

    def stop(self) -> None:
        """End the process and everything it started: SIGTERM, then SIGKILL after ``grace`` seconds."""
        try:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(self._grace)
        finally:
            self._signal(signal.SIGKILL)
            self._popen.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def local_session() -> requests.Session:
    """Return an HTTP client for servers of this machine."""
    session = requests.Session()
    session.trust_env = False  # no proxy between two programs of one machine
    return session
