"""A page of the hand-made stats module: the real client of Socket.IO, in Node.js."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tooling.node import Installed

DEADLINE: Final = 30.0  # seconds
_PROGRAM: Final = Path(__file__).parent / "socketio_client/client.mjs"


class Page:
    """What the client has told so far: ``happened`` holds pairs of an event and its data."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._changed = threading.Condition()
        self.happened: list[tuple[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._changed:
                self.happened.append((told["event"], told["data"]))
                self._changed.notify_all()

    def ask(self) -> None:
        """Have it emit ``request_stats``."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)

    def got(self, event: str) -> list[Any]:
        with self._changed:
            return [data for name, data in self.happened if name == event]

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE), f"the client told {self.happened[-3:]}"

    def wait_for(self, event: str, count: int = 1) -> None:
        self.wait(lambda: len([name for name, _ in self.happened if name == event]) >= count)

    def wait_to_know(self, stats: object) -> None:
        """Wait until the newest ``stats_update`` is these stats."""
        self.wait(lambda: next((data for name, data in reversed(self.happened) if name == "stats_update"), 0) == stats)


@contextmanager
def page(client: Installed, url: str, transports: str = "") -> Iterator[Page]:
    command = [str(client.node), str(_PROGRAM), str(client.folder), url, transports]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        opened = Page(process)
        try:
            yield opened
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(DEADLINE)
            opened._reader.join()
