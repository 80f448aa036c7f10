"""Helper commands such as pip and apt-get: quiet when they work, quoted when they fail, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tooling.checkout import ToolingError, say

_QUOTED_LINES: Final = 25


def run(command: Sequence[str], cwd: Path, *, echo: tuple[str, ...] = ()) -> list[str]:
    """Run ``command``, show those lines of its output that start with one of ``echo``, and return all lines.

    Raises ``ToolingError`` with its last lines if it fails. Whatever ends this function, the command and all it started
    have ended too, and their temporary files are gone.
    """
    with tempfile.TemporaryDirectory(prefix="clipper-exporter-", ignore_cleanup_errors=True) as temporary:
        return _run(command, cwd, echo, temporary)


def _run(command: Sequence[str], cwd: Path, echo: tuple[str, ...], temporary: str) -> list[str]:
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "TMPDIR": temporary},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolingError(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if line.startswith(echo):
                say(f"  {line.rstrip()}")
        status = process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if status != 0:
        quoted = "\n".join(f"  {line}" for line in lines[-_QUOTED_LINES:])
        raise ToolingError(f"{' '.join(command)}\nfailed with status {status}:\n{quoted}")
    return lines
