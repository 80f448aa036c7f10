"""What takes part in the crash run: the exporter that is killed, and the pushers that notice."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import requests

from exporter.store.shared import TRIGGER_TYPES
from tooling.processes import free_port

STREAMERS: Final = 20
AT_ONCE: Final = 100  # events of one push, for those who fell behind

Event = tuple[str, str, str]
"""A streamer, a type, an id."""


class Exporter:
    """An exporter that is killed and started again, on one folder and one port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._log = (folder / "exporter.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may be killed before it answers."""
        address, path = f"--web.listen-address=127.0.0.1:{self.port}", f"--storage.path={self._folder / 'storage'}"
        command = [sys.executable, "-W", "error", "-m", "exporter", "serve", address, path]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    def answers(self) -> bool:
        """Whether it is ready; raises ``RuntimeError`` if it ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the exporter ended by itself with status {self._process.returncode}")
        try:
            return requests.get(f"{self.url}/-/ready", timeout=1).ok
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """End it as the system does when memory is short: at once, with nothing tidied up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Kill it for good."""
        self.kill()
        self._log.close()


class Pusher(threading.Thread):
    """Posts its share of the events at the times they are due, each until it is answered with 200."""

    def __init__(self, number: int, url: str, rate: float, ended: threading.Event, faults: list[str]) -> None:
        super().__init__(name=f"pusher-{number}")
        self.source = f"pusher {number}"
        self.taken: list[Event] = []
        self.recognised = 0
        self._url = f"{url}/api/stats"
        self._every = 1 / rate
        self._ended = ended
        self._faults = faults
        self._random = random.Random(number)  # noqa: S311 - which streamer triggers is no secret

    def run(self) -> None:
        """Post until told to end and all is taken."""
        began, made = time.monotonic(), 0
        waiting: list[Event] = []
        # Paced by the clock, so that what fell due while nobody answered is posted too.
        with requests.Session() as session:
            while waiting or not self._ended.is_set():
                due = int((time.monotonic() - began) / self._every) if not self._ended.is_set() else made
                while made < due:
                    streamer = f"streamer {self._random.randrange(STREAMERS)}"
                    waiting.append((streamer, self._random.choice(TRIGGER_TYPES), f"{made}"))
                    made += 1
                if not waiting:
                    time.sleep(max(0.0, began + (made + 1) * self._every - time.monotonic()))
                    continue
                answer = post(session, self._url, self.source, waiting[:AT_ONCE], self._faults)
                if answer is None:
                    time.sleep(0.02)
                    continue
                self.recognised += answer["duplicates"]
                self.taken += waiting[:AT_ONCE]
                del waiting[:AT_ONCE]


def post(
    session: requests.Session, url: str, source: str, events: list[Event], faults: list[str]
) -> dict[str, Any] | None:
    """Post events; ``None`` if they have to be sent again. An answer that should not be goes to ``faults``."""
    triggers = [{"streamer": streamer, "type": kind, "id": name} for streamer, kind, name in events]
    try:
        answer = session.post(url, json={"source": source, "triggers": triggers}, timeout=10)
    except requests.RequestException:
        return None
    if answer.status_code == 200:
        taken: dict[str, Any] = answer.json()
        return taken
    if answer.status_code != 503:
        faults.append(f"{answer.status_code} {answer.text}")
    return None
