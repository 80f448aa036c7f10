"""What every script needs: the folders of the checkout, its one kind of error, and helper commands."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = ROOT / ".venv"
TOOLS: Final = ROOT / ".tools"

_QUOTED_LINES: Final = 25


class ToolingError(Exception):
    """Something that a script needs is missing or failed; the text says what, and what to do about it."""


def say(text: str = "", *, end: str = "\n") -> None:
    """Print and flush, so that progress is seen at once through a pipe too."""
    print(text, end=end, flush=True)


def run(command: Sequence[str], cwd: Path = ROOT) -> list[str]:
    """Run ``command`` and return the lines of its output; raise ``ToolingError`` with the last ones if it fails."""
    try:
        process = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ToolingError(f"cannot run {command[0]}: {error.strerror}") from error
    lines = process.stdout.splitlines()
    if process.returncode != 0:
        quoted = "\n".join(f"  {line}" for line in lines[-_QUOTED_LINES:])
        raise ToolingError(f"{' '.join(command)}\nfailed with status {process.returncode}:\n{quoted}")
    return lines
