"""Recorded streams, replayed from CSV files of ``seconds,viewers``."""

from __future__ import annotations

import csv
import io
import math
import re
import reprlib
import statistics
from bisect import bisect_right
from importlib.resources import files
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from exporter.errors import FeedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from exporter.feeds import StatsWriter

COLUMNS = ("seconds", "viewers")
LARGEST = 999_999_999_999_999  # fifteen digits: exact as a float, the type of sample values
_WHOLE_NUMBER = re.compile(r"[0-9]{1,15}")


class Row(NamedTuple):
    """One poll: ``seconds`` since the first poll, and the viewers."""

    seconds: int
    viewers: int


class Position(NamedTuple):
    """The position of a replay: the number of restarts, and the index of the current row."""

    loop: int
    row: int


class RecordedFeed:
    """Replays one recording as one streamer, in a loop.

    ``source`` is a CSV file with the columns ``seconds,viewers``; ``streamer`` defaults to its name without ``.csv``.
    Row 0 applies from Unix time ``start``, the others ``speed`` times as fast as recorded. The last row applies for
    ``step`` recording-seconds, the median distance of two rows. Then the stream ends: the streamer is cleared, and the
    recording starts again after ``gap`` recording-seconds. Raises FeedError.
    """

    def __init__(
        self,
        store: StatsWriter,
        source: Path | Traversable,
        *,
        start: float,
        streamer: str | None = None,
        speed: float = 1.0,
        gap: float = 30.0,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise FeedError(f"speed: expected a finite number above 0, got {speed!r}")
        if not (math.isfinite(gap) and gap >= 0):
            raise FeedError(f"gap: expected a finite number of seconds, at least 0, got {gap!r}")
        self.rows = read_recording(source)
        self.streamer = PurePath(source.name).stem if streamer is None else streamer
        self.start = start
        self.speed = speed
        self._offsets = [row.seconds - self.rows[0].seconds for row in self.rows]
        self.step = statistics.median(later - earlier for earlier, later in pairwise(self._offsets))
        self._live_seconds = self._offsets[-1] + self.step
        self._loop_seconds = self._live_seconds + gap
        self._store = store
        self._position: Position | None = None

    def position(self, now: float) -> Position | None:
        """Return the position at Unix time ``now``; None before the start and while there is no stream."""
        elapsed = (now - self.start) * self.speed
        if elapsed < 0:
            return None
        loop, seconds = divmod(elapsed, self._loop_seconds)
        if seconds >= self._live_seconds:
            return None
        return Position(int(loop), bisect_right(self._offsets, seconds) - 1)

    def row_at(self, now: float) -> Row | None:
        """Return the row that applies at Unix time ``now``; None while there is no stream."""
        position = self.position(now)
        return None if position is None else self.rows[position.row]

    def advance(self, now: float) -> None:
        """Write the row that applies at ``now`` if it has changed; clear the streamer if its stream ended.

        Rows between two calls are skipped, because a gauge holds only the newest value. An end is never skipped.
        """
        position = self.position(now)
        if position == self._position:
            return
        if self._position is not None and (position is None or position.loop != self._position.loop):
            self._store.clear_streamer_stats(self.streamer)
        if position is not None:
            self._store.update_viewers(self.streamer, self.rows[position.row].viewers)
        self._position = position


def bundled() -> tuple[Traversable, ...]:
    """Return the recordings in this package, sorted by name."""
    recordings = files(__package__).joinpath("recordings").iterdir()
    return tuple(sorted((file for file in recordings if file.name.endswith(".csv")), key=lambda file: file.name))


def read_recording(source: Path | Traversable) -> tuple[Row, ...]:
    """Return the rows of a CSV file ``seconds,viewers`` with a header and at least two rows; blank lines are skipped.

    Raises FeedError, which names the file, line, field and value.
    """
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FeedError(f"{source}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise FeedError(f"{source}: not UTF-8: byte {error.object[error.start]:#04x} at {error.start}") from error
    rows = tuple(_rows(str(source), text))
    if len(rows) < 2:
        raise FeedError(f"{source}: expected at least two rows below the header, got {len(rows)}")
    return rows


def _rows(file: str, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    expected = ",".join(COLUMNS)
    try:
        header = ",".join(next(reader, []))
        if header != expected:
            raise FeedError(f"{file}:1: header: expected {expected}, got {reprlib.repr(header)}")
        above = -1
        for fields in filter(None, reader):
            place = f"{file}:{reader.line_num}"
            if len(fields) != len(COLUMNS):
                raise FeedError(f"{place}: row: expected {expected}, got {reprlib.repr(','.join(fields))}")
            row = Row(*(_whole_number(place, *pair) for pair in zip(COLUMNS, fields, strict=True)))
            if row.seconds <= above:
                raise FeedError(f"{place}: seconds: expected more than in the row above ({above}), got {row.seconds}")
            above = row.seconds
            yield row
    except csv.Error as error:
        raise FeedError(f"{file}:{reader.line_num}: row: expected {expected}, got: {error}") from error


def _whole_number(place: str, field: str, value: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(value):
        raise FeedError(f"{place}: {field}: expected a whole number from 0 to {LARGEST}, got {reprlib.repr(value)}")
    return int(value)
