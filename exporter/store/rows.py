"""One row per streamer, and copies of rows for readers."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

Reading = tuple[float | None, float]
"""A gauge's value (``None`` if never reported), and the Unix time at which it was reported."""
NEVER: Final[Reading] = (None, 0.0)

READINGS: Final = ("viewers", "velocity", "recording")
"""The gauges that a clipper reports."""


class Gauge:
    """One gauge of one streamer.

    ``reading`` is the newest one. Writers replace it without a lock; value and time are one object, so readers always
    see both together. ``known`` is the reading that readers see, and ``version`` the store's version when it became
    known; both need the store's lock.
    """

    __slots__ = ("known", "reading", "version")

    def __init__(self) -> None:
        self.reading = self.known = NEVER
        self.version = 0


class Row:
    """One streamer's numbers. All except the gauges' readings need the store's lock.

    ``triggers`` counts by type, ``last_triggers`` holds Unix times by type; both are replaced, never changed, so that
    rows can share them and readers can keep them. ``updated`` is the Unix time of the newest update, ``None`` if there
    was none since the row was restored. ``version`` is the store's at the newest change, ``events_version`` that of
    what events count. ``number`` rises with each new row; ``held`` ends when the row is dropped.
    """

    __slots__ = (
        "clips",
        "events_version",
        "held",
        "last_triggers",
        "number",
        "recording",
        "streamer",
        "triggers",
        "updated",
        "velocity",
        "version",
        "viewers",
    )

    def __init__(
        self, number: int, streamer: str, triggers: Mapping[str, int], last_triggers: Mapping[str, float]
    ) -> None:
        self.number = number
        self.held = True
        self.streamer = streamer
        self.viewers = Gauge()
        self.velocity = Gauge()
        self.recording = Gauge()
        self.triggers = triggers
        self.last_triggers = last_triggers
        self.clips = 0
        self.updated: float | None = None
        self.version = self.events_version = 0


class RowCopy(NamedTuple):
    """One streamer's numbers as they were at one moment; the fields are those of :class:`Row` and its gauges."""

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


_reading = attrgetter("reading")
_WHERE: Final = {
    name: f"{gauge}.{part}"
    for gauge in READINGS
    for name, part in ((f"known_{gauge}", "known"), (f"{gauge}_version", "version"))
}
_ALWAYS: Final = ("number", "streamer", "updated", "version")
_COUNTED: Final = ("triggers", "last_triggers", "clips", "events_version")
EVENTS: Final = "events"
PARTS: Final = (*READINGS, EVENTS)
"""The parts of a row: its gauges, and the counters of its events."""


class Rows:
    """Copies of rows at one moment, in the order first seen.

    They have only the fields of ``parts`` and those of every row. Create them with the store's lock held.
    """

    # One flat list: tens of thousands of tuples would trigger Python's garbage collector.

    __slots__ = ("_fields", "_values")

    def __init__(self, rows: Iterable[Row] = (), parts: Container[str] = PARTS) -> None:
        known = (field for gauge in READINGS if gauge in parts for field in (f"known_{gauge}", f"{gauge}_version"))
        self._fields = (*_ALWAYS, *known, *(_COUNTED if EVENTS in parts else ()))
        read = attrgetter(*(_WHERE.get(field, field) for field in self._fields))
        self._values: list[Any] = list(chain.from_iterable(map(read, rows)))

    def __len__(self) -> int:
        return len(self._values) // len(self._fields)

    def __iter__(self) -> Iterator[RowCopy]:
        """Iterate over rows with all their parts."""
        return map(RowCopy, *map(self._column, RowCopy._fields))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and (self._fields, self._values) == (other._fields, other._values)

    __hash__ = None  # type: ignore[assignment]

    def has(self, field: str) -> bool:
        """Return whether the rows have a field, or a gauge."""
        return field in self._fields or f"known_{field}" in self._fields

    def column(self, field: str) -> list[Any]:
        """Return one field of every row; for a gauge, its values."""
        if field in READINGS:
            return [reading[0] for reading in self._column(f"known_{field}")]
        return self._column(field)

    def _column(self, field: str) -> list[Any]:
        return self._values[self._fields.index(field) :: len(self._fields)]


def posted_readings(gauges: Iterable[Gauge]) -> list[Reading]:
    """Return the readings of gauges in one C call, which no other thread can interrupt on builds with a GIL."""
    return list(map(_reading, gauges))
