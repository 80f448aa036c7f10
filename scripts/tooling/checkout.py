"""Where things are in a checkout, and what the scripts' own failures are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = ROOT / ".venv"
TOOLS: Final = ROOT / ".tools"


class ToolingError(Exception):
    """Something a script needs is not there or did not work; the text says what, and what to do about it."""


def say(text: str = "", *, end: str = "\n") -> None:
    """Print to standard output at once, so that progress is seen when it happens, also through a pipe."""
    print(text, end=end, flush=True)
