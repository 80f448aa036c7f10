"""The demo's table: one row for each streamer, in characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

ABSENT: Final = "-"
_NAME_WIDTH: Final = 24
_HEADINGS: Final = ("viewers", "chat/min", "recording", "triggers 5m")


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one streamer, ``triggers`` in the last 5 minutes; ``None`` is a value that is absent."""

    streamer: str
    viewers: float | None
    velocity: float | None
    recording: bool | None
    triggers: float | None


def rows(
    viewers: Mapping[str, float],
    velocities: Mapping[str, float],
    recordings: Mapping[str, float],
    triggers: Mapping[str, float],
) -> list[Row]:
    """Join four mappings from streamer to value into rows: most viewers first, without a viewer count last."""
    streamers = {*viewers, *velocities, *recordings, *triggers}
    ordered = sorted(streamers, key=lambda streamer: (-viewers.get(streamer, -1.0), streamer))
    return [
        Row(
            streamer,
            viewers.get(streamer),
            velocities.get(streamer),
            bool(recordings[streamer]) if streamer in recordings else None,
            triggers.get(streamer),
        )
        for streamer in ordered
    ]


def lines(table: Iterable[Row]) -> list[str]:
    """Return the table's lines, the heading first."""
    return [
        _line("streamer", *_HEADINGS),
        *(
            _line(
                row.streamer,
                _number(row.viewers, "{:,.0f}"),
                _number(row.velocity, "{:,.1f}"),
                {None: ABSENT, True: "yes", False: "no"}[row.recording],
                _number(row.triggers, "{:,.0f}"),
            )
            for row in table
        ),
    ]


def _line(name: str, *cells: str) -> str:
    return _fit(name) + "".join(f"  {cell:>{max(len(title), 9)}}" for cell, title in zip(cells, _HEADINGS, strict=True))


def _number(value: float | None, form: str) -> str:
    return ABSENT if value is None else form.format(value)


def _fit(name: str) -> str:
    """Return ``name`` in exactly ``_NAME_WIDTH`` terminal cells, with what cannot be printed escaped."""
    printable = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name)
    fitted, width = "", 0
    for char in printable:
        width += _cells(char)
        if width > _NAME_WIDTH:
            width -= _cells(char)
            break
        fitted += char
    return fitted + " " * (_NAME_WIDTH - width)


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
