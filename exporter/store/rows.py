"""One row per streamer, and the copies that readers get."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

Reading = tuple[float | None, float]
"""A gauge's value, and the Unix time at which it was reported. ``None`` was never reported."""
NEVER: Final[Reading] = (None, 0.0)

READINGS: Final = ("viewers", "velocity", "recording")
"""The gauges that a clipper reports."""


class Row:
    """One streamer's numbers.

    ``viewers``, ``velocity`` and ``recording`` are the newest readings. A writer replaces one without a lock: a reading
    is one object, so that nobody sees a value without its time. All else belongs to who holds the store's lock:
    ``known_…`` are the readings that readers are shown. ``triggers`` counts by type, ``last_triggers`` holds Unix times
    by type; both are replaced, never changed, so that rows can share them and readers can keep them. ``updated`` is the
    Unix time of the newest update, ``None`` if there was none since the row was restored. The versions are the store's
    at the newest change: of anything, of one gauge, of what events count. ``number`` rises with each new row.
    """

    __slots__ = (
        "clips",
        "events_version",
        "known_recording",
        "known_velocity",
        "known_viewers",
        "last_triggers",
        "number",
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

    def __init__(
        self, number: int, streamer: str, triggers: Mapping[str, int], last_triggers: Mapping[str, float]
    ) -> None:
        self.number = number
        self.streamer = streamer
        self.viewers = self.velocity = self.recording = NEVER
        self.known_viewers = self.known_velocity = self.known_recording = NEVER
        self.triggers = triggers
        self.last_triggers = last_triggers
        self.clips = 0
        self.updated: float | None = None
        self.version = self.viewers_version = self.velocity_version = self.recording_version = self.events_version = 0


class RowCopy(NamedTuple):
    """One streamer's numbers as they were at one moment; the fields are those of :class:`Row`."""

    number: int
    streamer: str
    known_viewers: Reading
    known_velocity: Reading
    known_recording: Reading
    triggers: Mapping[str, int]
    last_triggers: Mapping[str, float]
    clips: int
    updated: float | None
    version: int
    viewers_version: int
    velocity_version: int
    recording_version: int
    events_version: int

    @property
    def viewers(self) -> float | None:
        """Viewers, ``None`` if never reported."""
        return self.known_viewers[0]

    @property
    def velocity(self) -> float | None:
        """Chat messages per minute, ``None`` if never reported."""
        return self.known_velocity[0]

    @property
    def recording(self) -> bool | None:
        """The recording flag, ``None`` if never reported."""
        return self.known_recording[0]  # type: ignore[return-value] # a bool goes in, and nothing else


_values = attrgetter(*RowCopy._fields)
posted_readings: Callable[[Row], tuple[Reading, Reading, Reading]] = attrgetter(*READINGS)
"""A row's newest readings, read in one call into C: on builds with a GIL no other thread gets a turn in it."""


def copies(rows: Iterable[Row]) -> list[RowCopy]:
    """Copy rows. The store's lock must be held."""
    return list(map(RowCopy._make, map(_values, rows)))
