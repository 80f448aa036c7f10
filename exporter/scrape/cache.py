"""A cache of the store's families as text, which renders only changes.

Streamers are in chunks, in the order first seen. For each family, a chunk keeps the text of its streamers' lines and
the length of each streamer's part. A scrape renders the changed parts and replaces them in the texts. The texts equal
those that prometheus_client renders from the collector, byte for byte.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

from prometheus_client.utils import floatToGoString

from exporter.metrics import STORE_FAMILIES, Family
from exporter.store.journal import Changes
from exporter.store.rows import READINGS, Rows
from exporter.store.store import Store

_CHUNK: Final = 1024  # streamers; small enough to rebuild a text quickly, large enough to have few chunks

Render = Callable[[str, Any], str]
"""Renders the lines of one family for a streamer's escaped name and a value."""


def escape(value: str) -> str:
    """Escape a label's value: https://prometheus.io/docs/instrumenting/exposition_formats/."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@lru_cache(maxsize=65_536)
def _number(value: float) -> str:
    return floatToGoString(value)  # type: ignore[no-untyped-call, no-any-return]


def _renderer(family: Family) -> Render:
    before = f'{family.name}{{{family.labels[0]}="'
    if family.whole:

        def cut(streamer: str, value: float | None) -> str:
            return "" if value is None else f'{before}{streamer}"}} {_number(value // 1)}\n'

        return cut
    if len(family.labels) == 1:

        def gauge(streamer: str, value: float | None) -> str:
            if value is None:
                return ""
            # Python formats whole numbers as Go does, below the size at which Go uses exponents.
            if type(value) is int and value < 1_000_000:
                return f'{before}{streamer}"}} {value}.0\n'
            return f'{before}{streamer}"}} {_number(value)}\n'

        return gauge
    between = f'",{family.labels[1]}="'

    def by_label(streamer: str, held: Mapping[str, float]) -> str:
        return "".join(
            f'{before}{streamer}{between}{escape(label)}"}} {_number(value)}\n' for label, value in held.items()
        )

    return by_label


def _version(family: Family) -> str:
    """Return the field of a row that holds the version of a family's newest change."""
    if family.field in READINGS:
        return f"{family.field}_version"
    return "version" if family.field == "updated" else "events_version"


_RENDERERS: Final = tuple(map(_renderer, STORE_FAMILIES))
_FIELDS: Final = tuple(family.field for family in STORE_FAMILIES)
_VERSIONS: Final = tuple(map(_version, STORE_FAMILIES))


class _Changed:
    """The columns of the rows that changed after the version ``seen``."""

    def __init__(self, rows: Rows, seen: int) -> None:
        self.seen = seen
        self.numbers: list[int] = rows.column("number")
        self._rows = rows
        self._columns: dict[str, list[Any]] = {}
        self.has = rows.has

    def column(self, field: str) -> list[Any]:
        """Return one field of all rows."""
        if field not in self._columns:
            self._columns[field] = self._rows.column(field)
        return self._columns[field]


class _Chunk:
    """Neighbouring streamers: their row numbers and escaped names, and for each family the text and part lengths."""

    __slots__ = ("lengths", "names", "numbers", "texts")

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.names: list[str] = []
        self.lengths = [array("I") for _ in STORE_FAMILIES]
        self.texts = [b""] * len(STORE_FAMILIES)

    def append(self, numbers: Sequence[int], streamers: Iterable[str]) -> None:
        """Add streamers that are not rendered yet."""
        self.numbers += numbers
        self.names += map(escape, streamers)
        for lengths in self.lengths:
            lengths.extend([0] * len(numbers))

    def keep(self, places: Sequence[int]) -> None:
        """Remove the streamers that are not at ``places``."""
        self.numbers = [self.numbers[at] for at in places]
        self.names = [self.names[at] for at in places]
        for family, (text, lengths) in enumerate(zip(self.texts, self.lengths, strict=True)):
            ends = list(accumulate(lengths))
            self.texts[family] = b"".join(text[ends[at] - lengths[at] : ends[at]] for at in places)
            self.lengths[family] = array("I", (lengths[at] for at in places))

    def render(self, places: Sequence[int], changed: _Changed, start: int, seen: int) -> None:
        """Render changes after ``seen`` for the streamers at ``places``, whose rows start at ``start``."""
        end = start + len(places)
        for family, (field, version) in enumerate(zip(_FIELDS, _VERSIONS, strict=True)):
            if not changed.has(field):
                continue
            versions = changed.column(version)[start:end]
            oldest = min(versions)
            if oldest > seen and len(places) == len(self.numbers):
                lines = list(map(_RENDERERS[family], self.names, changed.column(field)[start:end]))
                text = "".join(lines)
                self.texts[family] = text.encode()
                sizes = map(len, lines) if text.isascii() else (len(line.encode()) for line in lines)
                self.lengths[family] = array("I", sizes)
            elif oldest > seen:
                self._replace(family, places, changed.column(field)[start:end])
            elif max(versions) > seen:
                some = [at for at, each in enumerate(versions) if each > seen]
                values = changed.column(field)
                self._replace(family, [places[at] for at in some], [values[start + at] for at in some])

    def _replace(self, family: int, places: Iterable[int], values: Iterable[Any]) -> None:
        render, names, lengths = _RENDERERS[family], self.names, self.lengths[family]
        text = memoryview(self.texts[family])
        parts: list[bytes | memoryview] = []
        start = last = 0
        for at, value in zip(places, values, strict=True):
            end = start + sum(lengths[last:at])
            line = render(names[at], value).encode()
            parts += (text[start:end], line)
            start, last = end + lengths[at], at + 1
            lengths[at] = len(line)
        parts.append(text[start:])
        self.texts[family] = b"".join(parts)


class StoreLines:
    """The current sample lines of every family of the store."""

    def __init__(self, store: Store) -> None:
        self._cursor = store.follow(0)
        self._lock = threading.Lock()
        self._chunks: list[_Chunk] = []
        self._newest = 0  # the highest number of a row

    def texts(self) -> list[list[bytes]]:
        """Return the current lines of each family, in pieces and in the order of the exposition."""
        with self._lock:
            changes = self._cursor.take()
            try:
                self._follow(changes)
            except BaseException:
                self._cursor.version, self._chunks, self._newest = 0, [], 0  # all of it again, at the next scrape
                raise
            return [[chunk.texts[family] for chunk in self._chunks] for family in range(len(STORE_FAMILIES))]

    def _follow(self, changes: Changes) -> None:
        if changes.start_again:
            self._keep(set(changes.rows.column("number")))
        else:
            self._drop([event.row for event in changes.events if event.row is not None])
        self._render(_Changed(changes.rows, changes.since))

    def _keep(self, numbers: set[int]) -> None:
        for chunk in self._chunks:
            places = [at for at, number in enumerate(chunk.numbers) if number in numbers]
            if len(places) < len(chunk.numbers):
                chunk.keep(places)
        self._tidy()

    def _drop(self, gone: Iterable[int]) -> None:
        of_chunk: dict[int, set[int]] = {}
        firsts = [chunk.numbers[0] for chunk in self._chunks]
        for number in gone:
            if number <= self._newest:  # else it was added and dropped between two scrapes
                of_chunk.setdefault(bisect_right(firsts, number) - 1, set()).add(number)
        for at, numbers in of_chunk.items():
            chunk = self._chunks[at]
            chunk.keep([place for place, number in enumerate(chunk.numbers) if number not in numbers])
        if of_chunk:
            self._tidy()

    def _tidy(self) -> None:
        """Remove empty chunks, and join small neighbours."""
        chunks: list[_Chunk] = []
        for chunk in self._chunks:
            if chunks and len(chunks[-1].numbers) + len(chunk.numbers) <= _CHUNK:
                _join(chunks[-1], chunk)
            elif chunk.numbers:
                chunks.append(chunk)
        self._chunks = chunks

    def _render(self, changed: _Changed) -> None:
        """Render rows in the order of their numbers; new rows come after all others."""
        numbers = changed.numbers
        new = bisect_right(numbers, self._newest)
        start = 0
        for chunk in self._chunks if new else ():
            end = bisect_right(numbers, chunk.numbers[-1], start, new)
            if end - start == len(chunk.numbers):
                chunk.render(range(end - start), changed, start, changed.seen)
            elif end > start:
                places = [bisect_left(chunk.numbers, number) for number in numbers[start:end]]
                chunk.render(places, changed, start, changed.seen)
            start = end
        while new < len(numbers):
            if not self._chunks or len(self._chunks[-1].numbers) == _CHUNK:
                self._chunks.append(_Chunk())
            chunk = self._chunks[-1]
            first = len(chunk.numbers)
            end = min(len(numbers), new + _CHUNK - first)
            chunk.append(numbers[new:end], changed.column("streamer")[new:end])
            chunk.render(range(first, first + end - new), changed, new, -1)
            new = end
        if numbers:
            self._newest = max(self._newest, numbers[-1])


def _join(chunk: _Chunk, other: _Chunk) -> None:
    chunk.numbers += other.numbers
    chunk.names += other.names
    for family, lengths in enumerate(other.lengths):
        chunk.lengths[family].extend(lengths)
        chunk.texts[family] += other.texts[family]
