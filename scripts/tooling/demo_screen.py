"""The demo's screen: a table of streamers with lines below, redrawn in place on a terminal, appended elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tooling.demo_readings import Columns
from tooling.webhook import Message

Line = tuple[str, str]  # a text and its style

_MESSAGES: Final = 4  # the newest, shown
_HEADINGS: Final = ("viewers", "chat/min", "recording", "triggers 5m")


class Screen:
    """Draws a block of table and lines, on a terminal in the place of the block before."""

    def __init__(self) -> None:
        tty = sys.stdout.isatty()
        self._console = Console(force_terminal=tty, soft_wrap=not tty)
        self.in_place: Final = tty and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False)

    def __enter__(self) -> Self:
        if self.in_place:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.in_place:
            self._live.stop()

    def print(self, lines: Iterable[Line]) -> None:
        """Print ``lines`` that stay, above the block."""
        self._console.print(*(text(*line) for line in lines), sep="\n")

    def draw(self, columns: Columns, lines: Iterable[Line]) -> None:
        """Draw the block anew. What a low terminal has no room for is cut off below."""
        block = Group(table(columns), "", *(text(*line) for line in lines))
        if self.in_place:
            self._live.update(block, refresh=True)
        else:
            self._console.print(block, "")


def text(content: str, style: str = "") -> Text:
    """Return ``content`` with every character escaped that is not printable: names come from strangers."""
    safe = (char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in content)
    return Text("".join(safe), style)


def table(columns: Columns) -> Table:
    """Return the table: most viewers first, streamers without a viewer count last."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    drawn.add_column("streamer", width=24, no_wrap=True)
    for heading in _HEADINGS:
        drawn.add_column(heading, min_width=9, justify="right")
    viewers = columns[0]
    for streamer in sorted(set().union(*columns), key=lambda name: (-viewers.get(name, -1), name)):
        cells = (_cell(heading, column.get(streamer)) for heading, column in zip(_HEADINGS, columns, strict=True))
        drawn.add_row(text(streamer), *cells)
    return drawn


def _cell(heading: str, value: float | None) -> str:
    if value is None:
        return "-"
    if heading == "recording":
        return "yes" if value else "no"
    return f"{value:,.1f}" if heading == "chat/min" else f"{value:,.0f}"


def alerts(firing: Iterable[Mapping[str, str]], messages: Sequence[Message]) -> Iterator[Line]:
    """Return lines on alerts: the labels of those ``firing``, then the newest of ``messages``, the newest first."""
    named = sorted(f"{labels['alertname']} {labels['streamer']} ({labels['severity']})" for labels in firing)
    if named:
        yield f"firing: {', '.join(named)}", "bold yellow"
    else:
        yield "alerts: none fires; a streamer is judged after two minutes of Prometheus's own", ""
    for message in reversed(messages[-_MESSAGES:]):
        arrived = f"{datetime.fromtimestamp(message.at).astimezone():%H:%M:%S} delivered"
        alert = message.payload["alerts"][0]["annotations"]
        if message.status == "resolved":
            yield f"{arrived}: over: {alert['summary']}", ""
        else:
            took = f"{message.at - message.fired:.0f} s after it fired"
            yield f"{arrived} {took}: {alert['summary']}. {alert['description']}", ""
