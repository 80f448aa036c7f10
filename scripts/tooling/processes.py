"""Server processes that end with whoever started them, and that can be asked why they died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import requests

from tooling.checkout import ToolingError

GRACE: Final = 6.0  # seconds between SIGTERM and SIGKILL; every server here needs less when it is well
_POLL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """A server to run: the name that people read, its command, and the URL that answers 2xx when it is ready."""

    name: str
    command: Sequence[str]
    ready_url: str
    environment: Mapping[str, str] = field(default_factory=dict)


class ServerDied(ToolingError):
    """A server ended that should be running; the text holds its status and its last lines."""


class Process(AbstractContextManager["Process"]):
    """One running server in a process group of its own; its output goes to ``log``. Leaving the context stops it."""

    def __init__(self, server: Server, log: Path, grace: float = GRACE) -> None:
        self._grace = grace
        self.server = server
        self.log = log
        with log.open("wb") as output:
            try:
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

    @property
    def pid(self) -> int:
        """The id of the process, which is its group's as well."""
        return self._popen.pid

    def check(self) -> None:
        """Raise ``ServerDied`` if the process has ended."""
        status = self._popen.poll()
        if status is not None:
            raise ServerDied(f"{self.server.name} ended with status {status}; its last lines:\n{self.last_lines()}")

    def last_lines(self, count: int = 12) -> str:
        """Return the end of what the process has written, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-count:]) or "  (it wrote nothing)"

    def is_ready(self) -> bool:
        """Say whether the ready URL answers well now. Raises ``ServerDied`` if nobody is left to answer."""
        self.check()
        with suppress(requests.RequestException), local_session() as session:
            return session.get(self.server.ready_url, timeout=2).ok
        return False

    def wait_until_ready(self, deadline: float = 30.0, pause: Callable[[float], object] = time.sleep) -> float:
        """Return the seconds that it took until the ready URL answered; raise ``ToolingError`` after ``deadline``."""
        start = time.monotonic()
        while not self.is_ready():
            if time.monotonic() - start > deadline:
                raise ToolingError(
                    f"{self.server.name} was not ready within {deadline:g} s ({self.server.ready_url}); "
                    f"its last lines:\n{self.last_lines()}"
                )
            pause(_POLL)
        return time.monotonic() - start

    def stop(self) -> None:
        """End the process and all it has started: by SIGTERM, and after ``grace`` seconds by SIGKILL."""
        self._signal(signal.SIGTERM)
        try:
            self._popen.wait(self._grace)
        except subprocess.TimeoutExpired:
            pass  # the next signal cannot be refused
        finally:
            self._signal(signal.SIGKILL)
            self._popen.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __enter__(self) -> Self:
        return self


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def local_session() -> requests.Session:
    """Return an HTTP client for a server of this machine."""
    session = requests.Session()
    session.trust_env = False  # a proxy for the internet has no business between two programs of one machine
    return session
