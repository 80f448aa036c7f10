"""One row per streamer, and copies of rows for readers."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from operator import attrgetter, itemgetter
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


_gauge, _reading = itemgetter(0), attrgetter("reading")
_ALWAYS: Final = ("number", "streamer", "updated", "version")
_COUNTED: Final = ("triggers", "last_triggers", "clips", "events_version")
EVENTS: Final = "events"
PARTS: Final = (*READINGS, EVENTS)
"""The parts of a row: its gauges, and the counters of its events."""


class Rows:
    """Copies of rows at one moment, in the order first seen.

    They have only the fields of ``parts`` and those of every row. Create them with the store's lock held.
    """

    # Columns are made in C, and without a tuple for each row: tens of thousands of them, kept at once, would set
    # Python's garbage collector to work.

    __slots__ = ("_columns", "_length")

    def __init__(self, rows: Collection[Row] = (), parts: Container[str] = PARTS) -> None:
        self._length = len(rows)
        fields = (*_ALWAYS, *_COUNTED) if EVENTS in parts else _ALWAYS
        self._columns: dict[str, list[Any]] = {field: list(map(attrgetter(field), rows)) for field in fields}
        for name in READINGS:
            if name in parts:
                gauges = list(map(attrgetter(name), rows))
                self._columns[f"known_{name}"] = list(map(attrgetter("known"), gauges))
                self._columns[f"{name}_version"] = list(map(attrgetter("version"), gauges))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[RowCopy]:
        """Iterate over rows with all their parts."""
        return map(RowCopy, *(self._columns[field] for field in RowCopy._fields))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self._columns == other._columns

    __hash__ = None  # type: ignore[assignment]

    def has(self, field: str) -> bool:
        """Return whether the rows have a field, or a gauge."""
        return field in self._columns or f"known_{field}" in self._columns

    def column(self, field: str) -> list[Any]:
        """Return one field of every row; for a gauge, its values."""
        if field in READINGS:
            return [reading[0] for reading in self._columns[f"known_{field}"]]
        return self._columns[field]


def posted_readings(posted: Iterable[tuple[Gauge, Row]]) -> list[Reading]:
    """Read gauges in one call into C: on builds with a GIL no other thread gets a turn in it."""
    return list(map(_reading, map(_gauge, posted)))
