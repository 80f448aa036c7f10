"""The store's families as text, rendered only where something changed.

Every streamer's lines are kept, family by family, in chunks of streamers whose text is kept as well. A scrape renders
the lines of the values that differ from those rendered last and joins the lines of the chunks that these are in. The
texts of all chunks are, byte for byte, what prometheus_client renders from the collector.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from prometheus_client.utils import floatToGoString

from exporter.metrics import STORE_FAMILIES, Family
from exporter.store.rows import Row
from exporter.store.store import Store

_CHUNK: Final = 1024  # streamers: joining the lines of one is little work, and there are few chunks
_FIELDS: Final = tuple(family.field for family in STORE_FAMILIES)
_VERSIONS: Final = ("viewers_version", "velocity_version", "recording_version", "events_version")
_VERSION: Final = len(_FIELDS)
# One call into C, in which no other thread gets a turn: what it gives is of one moment.
_read = attrgetter(*_FIELDS, "version", *_VERSIONS)

Render = Callable[[str, Any], str]
"""Gives the lines of one family for a streamer's escaped name and value."""


def escape(value: str) -> str:
    """A label's value as the text format has it: https://prometheus.io/docs/instrumenting/exposition_formats/."""
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
            # Python writes whole numbers as Go does, up to where Go turns to exponents.
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


_RENDERERS: Final = tuple(_renderer(family) for family in STORE_FAMILIES)


class _Chunk:
    """Some neighbouring streamers: their rows, and for each family the values rendered, the lines and the text."""

    __slots__ = ("lines", "names", "rows", "texts", "values")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.names: list[str] = []
        self.values: list[list[Any]] = [[] for _ in STORE_FAMILIES]
        self.lines: list[list[str]] = [[] for _ in STORE_FAMILIES]
        self.texts = [b""] * len(STORE_FAMILIES)

    def append(self, row: Row) -> None:
        """Add a streamer, of whom nothing is rendered yet."""
        self.rows.append(row)
        self.names.append(escape(row.streamer))
        for values, lines in zip(self.values, self.lines, strict=True):
            values.append(None)
            lines.append("")

    def keep(self, places: Sequence[int]) -> None:
        """Remove the streamers that are not at ``places``."""
        self.rows = [self.rows[at] for at in places]
        self.names = [self.names[at] for at in places]
        self.values = [[values[at] for at in places] for values in self.values]
        self.lines = [[lines[at] for at in places] for lines in self.lines]
        self.texts = ["".join(lines).encode() for lines in self.lines]

    def render(self, places: Sequence[int], values: Iterable[tuple[Any, ...]]) -> None:
        """Render what differs in the new ``values`` of the streamers at ``places``."""
        for family, new_values in zip(range(len(STORE_FAMILIES)), zip(*values, strict=True), strict=False):
            render, known, lines = _RENDERERS[family], self.values[family], self.lines[family]
            changed = False
            if len(places) == len(known):  # all of them: what Python does in one go is many times faster
                changed = list(new_values) != known
                if changed:
                    known[:] = new_values
                    lines[:] = map(render, self.names, new_values)
            else:
                for at, value in zip(places, new_values, strict=True):
                    old = known[at]
                    if value is not old and value != old:
                        known[at] = value
                        lines[at] = render(self.names[at], value)
                        changed = True
            if changed:
                self.texts[family] = "".join(lines).encode()


class StoreLines:
    """The sample lines of every family that the store holds, kept up to date."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._chunks: list[_Chunk] = []
        self._membership = -1
        self._version = 0

    def texts(self) -> list[list[bytes]]:
        """The pieces of each family's lines, as the store has them now, in the order of the exposition."""
        with self._lock:
            version = self._store.version
            self._follow()
            seen = self._version  # 0 once _follow has begun again: nothing is rendered then
            for chunk in self._chunks:
                places = [at for at, row in enumerate(chunk.rows) if row.version > seen]
                if len(places) > len(chunk.rows) // 2:
                    places = list(range(len(chunk.rows)))
                if places:
                    chunk.render(places, self._values([chunk.rows[at] for at in places]))
            self._version = version
            return [[chunk.texts[family] for chunk in self._chunks] for family in range(len(STORE_FAMILIES))]

    def _values(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """The values of rows, of none half an update. Without the lock, which busy writers seldom leave free."""
        values = list(map(_read, rows))
        for at, each in enumerate(values):
            version = each[_VERSION]
            if version != each[_VERSION + 1] and version not in each[_VERSION + 2 :]:
                values[at] = self._store.locked(_read, rows[at])
        return values

    def _follow(self) -> None:
        """Let go of who is held no longer, and take in who is new: they stand behind all others."""
        membership, held = self._store.held(self._membership)
        if membership == self._membership:
            return
        self._membership = membership
        at = 0
        for chunk in self._chunks:
            if held[at : at + len(chunk.rows)] == chunk.rows:
                at += len(chunk.rows)
                continue
            places = []
            for place, row in enumerate(chunk.rows):
                if at < len(held) and held[at] is row:
                    places.append(place)
                    at += 1
            chunk.keep(places)
        self._chunks = [chunk for chunk in self._chunks if chunk.rows]
        if len(self._chunks) > 8 + 4 * len(held) // _CHUNK:  # worn down by those who went: start again
            self._chunks, self._version, at = [], 0, 0
        for row in held[at:]:
            if not self._chunks or len(self._chunks[-1].rows) == _CHUNK:
                self._chunks.append(_Chunk())
            self._chunks[-1].append(row)
