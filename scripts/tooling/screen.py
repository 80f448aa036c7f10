"""Where the demo's table goes: over the one before on a terminal, below it otherwise."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Final

from tooling.checkout import say

_UP_AND_CLEAR: Final = "\x1b[{}A\x1b[J"
_BOLD: Final = "\x1b[1m{}\x1b[0m"


class Screen:
    """Draws blocks of lines, of which the first is a heading. ``NO_COLOR`` (https://no-color.org) keeps it plain."""

    def __init__(self) -> None:
        self.in_place: Final = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._bold: Final = self.in_place and not os.environ.get("NO_COLOR")
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Draw ``lines``, in the place of the block drawn last where that is possible."""
        if self.in_place:
            columns, rows = shutil.get_terminal_size()
            # A line that wraps, or a block that scrolls, could not be drawn over.
            lines = [line[: columns - 1] for line in lines[: rows - 1]]
            if self._drawn:
                say(_UP_AND_CLEAR.format(self._drawn), end="")
            self._drawn = len(lines)
        heading, *rest = lines
        say(_BOLD.format(heading) if self._bold else heading)
        for line in rest:
            say(line)
        if not self.in_place:
            say()
