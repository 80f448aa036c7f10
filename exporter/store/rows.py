"""The store's rows, one per streamer, and the copies that readers get of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple


class Row:
    """One streamer's numbers; ``None`` is "never reported".

    ``triggers`` and ``last_triggers`` are replaced, never changed: rows can share them and readers can keep them.
    ``updated`` is the Unix time of the newest change, ``None`` if there was none since the row was restored. The
    versions are the store's at the newest change: ``version`` of anything, the others of one gauge, or of what events
    count. A change sets ``version`` first and one of the others last: while none of them equals it, the change is half
    done.
    """

    __slots__ = (
        "clips",
        "events_version",
        "last_triggers",
        "recording",
        "recording_version",
        "streamer",
        "triggers",
        "updated",
        "velocity",
        "velocity_version",
        "version",
        "viewers",
        "viewers_version",
    )

    def __init__(self, streamer: str, triggers: Mapping[str, int], last_triggers: Mapping[str, float]) -> None:
        self.streamer = streamer
        self.viewers: float | None = None
        self.velocity: float | None = None
        self.recording: bool | None = None
        self.triggers = triggers
        self.last_triggers = last_triggers
        self.clips = 0
        self.updated: float | None = None
        self.version = self.viewers_version = self.velocity_version = self.recording_version = self.events_version = 0


class RowCopy(NamedTuple):
    """One streamer's numbers as they were at one moment; ``None`` is "never reported".

    ``triggers`` counts by type, ``last_triggers`` holds Unix times by type, ``updated`` is the Unix time of the newest
    update, ``version`` the store's version at the newest change.
    """

    streamer: str
    viewers: float | None
    velocity: float | None
    recording: bool | None
    triggers: Mapping[str, int]
    last_triggers: Mapping[str, float]
    clips: int
    updated: float | None
    version: int


_values = attrgetter(*RowCopy._fields)


def copies(rows: Iterable[Row]) -> list[RowCopy]:
    """A copy of every row."""
    return list(map(RowCopy._make, map(_values, rows)))
