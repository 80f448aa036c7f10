"""Processes that are started, watched and ended, with small real servers in their place."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tooling.checkout import ToolingError
from tooling.processes import Process, Server, free_port

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def python(code: str, ready_url: str = "http://127.0.0.1:1/") -> Server:
    return Server("sample", [sys.executable, "-c", code], ready_url)


def eventually(condition: Callable[[], bool], deadline: float = 10.0) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process runs; one that ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_ready_when_the_url_answers(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), str(port)]
    with Process(Server("files", command, f"http://127.0.0.1:{port}/"), tmp_path / "log") as process:
        process.wait_until_ready(20.0)
        pid = process.pid
    assert not runs(pid)


def test_death_is_told_with_the_last_lines(tmp_path: Path) -> None:
    server = python("print('one'); print('two'); raise SystemExit(3)")
    with Process(server, tmp_path / "log") as process, pytest.raises(ToolingError) as death:
        process.wait_until_ready(20.0)
    assert str(death.value) == "sample ended with status 3; its last lines:\n  one\n  two"


def test_never_ready_is_an_error(tmp_path: Path) -> None:
    expected = pytest.raises(ToolingError, match=r"sample was not ready within 0.2 s \(http://127.0.0.1:1/\)")
    with Process(python("import time; time.sleep(600)"), tmp_path / "log") as process, expected:
        process.wait_until_ready(0.2)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolingError, match=r"cannot start sample \(/nowhere\): No such file"):
        Process(Server("sample", ["/nowhere"], ""), tmp_path / "log")


def test_what_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Process(python(STUBBORN), log, grace=0.2) as process:
        eventually(lambda: log.read_text().endswith("\n"))
        child = int(log.read_text())
        assert runs(child)
    assert not runs(process.pid)
    eventually(lambda: not runs(child))
