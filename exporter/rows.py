"""The store's rows: one per streamer, with its version, its expiry, and the trigger types in use. Not thread-safe."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple

from exporter import validation
from exporter.errors import InvalidUpdate
from exporter.validation import Limits, Reason


class Row:
    """One streamer's numbers; ``None`` is "never reported".

    ``triggers`` and ``last_triggers`` are replaced, never changed: rows can share them and readers can keep them.
    """

    __slots__ = (
        "clips",
        "last_triggers",
        "recording",
        "streamer",
        "triggers",
        "updated",
        "velocity",
        "version",
        "viewers",
    )

    def __init__(self, streamer: str, triggers: Mapping[str, int], last_triggers: Mapping[str, float]) -> None:
        self.streamer = streamer
        self.viewers: float | None = None
        self.velocity: float | None = None
        self.recording: bool | None = None
        self.triggers = triggers
        self.last_triggers = last_triggers
        self.clips = 0
        self.updated = 0.0
        self.version = 0


class RowCopy(NamedTuple):
    """One streamer's numbers as they were at one moment; ``None`` is "never reported".

    ``triggers`` counts by type, ``last_triggers`` holds Unix times by type, ``updated`` is the Unix time of the newest
    update, ``version`` the store's version at that update.
    """

    streamer: str
    viewers: float | None
    velocity: float | None
    recording: bool | None
    triggers: Mapping[str, int]
    last_triggers: Mapping[str, float]
    clips: int
    updated: float
    version: int

    @property
    def last_update(self) -> int:
        """Unix time of the newest update in whole seconds, so that its sample changes at most once a second."""
        return int(self.updated)


_values = attrgetter(*RowCopy._fields)


class RowTable:
    """Every streamer's row, in the order first seen.

    ``declared`` are the trigger types whose counters start at 0; ``stale_after`` is in seconds, 0 for never. Every
    method that takes ``now`` (Unix time) expects it not to fall, but is not harmed if it does.
    """

    def __init__(self, declared: Iterable[str], limits: Limits, stale_after: float) -> None:
        self._limits = limits
        self._zeros: Mapping[str, int] = dict.fromkeys(declared, 0)
        self._never: Mapping[str, float] = {}
        self._others: Counter[str] = Counter()  # types not declared, by the number of rows that have them
        self._stale_after = stale_after
        self._next_expiry = math.inf
        self.rows: dict[str, Row] = {}
        self.version = 0
        self.expired = 0

    def row(self, streamer: object, now: float) -> Row:
        """The streamer's row, a new one if there is none; refuses what is no name and one streamer too many."""
        if now >= self._next_expiry:
            self.expire(now)
        # Looking up anything but plain text might fail (a list), or find a row by an equality of its own.
        if type(streamer) is str:
            row = self.rows.get(streamer)
            if row is not None:
                return row
        return self._admit(validation.name("streamer", streamer, self._limits), now)

    def _admit(self, name: str, now: float) -> Row:
        row = self.rows.get(name)
        if row is None:
            if len(self.rows) >= self._limits.streamers:
                expected = f"one of the {self._limits.streamers} streamers held, which is the limit"
                raise InvalidUpdate("streamer", name, expected, Reason.STREAMERS)
            row = self.rows[name] = Row(name, self._zeros, self._never)
            if self._stale_after:
                self._next_expiry = min(self._next_expiry, self._expiry(now))
        return row

    def touch(self, row: Row, now: float) -> None:
        """Note that a row has changed."""
        self.version += 1
        row.version = self.version
        row.updated = now

    def check_type(self, kind: str) -> None:
        """Refuse one trigger type too many."""
        if kind in self._zeros or kind in self._others:
            return
        if len(self._zeros) + len(self._others) >= self._limits.trigger_types:
            expected = f"one of the {self._limits.trigger_types} trigger types known, which is the limit"
            raise InvalidUpdate("trigger_type", kind, expected, Reason.TRIGGER_TYPES)

    def count_trigger(self, row: Row, kind: str, at: float) -> None:
        """Count a trigger of a type that was checked."""
        if kind not in row.triggers:
            self._others[kind] += 1
        row.triggers = {**row.triggers, kind: row.triggers.get(kind, 0) + 1}
        row.last_triggers = {**row.last_triggers, kind: at}

    def drop(self, name: str) -> bool:
        """Remove a streamer's row; tells whether there was one."""
        row = self.rows.pop(name, None)
        if row is None:
            return False
        self.version += 1
        for kind in row.triggers.keys() - self._zeros.keys():
            self._others[kind] -= 1
            if not self._others[kind]:  # nobody has it any more: it makes room for another
                del self._others[kind]
        return True

    def clear(self) -> None:
        """Remove every row."""
        self.rows.clear()
        self._others.clear()
        self._next_expiry = math.inf
        self.version += 1

    def copies(self) -> list[RowCopy]:
        """A copy of every row."""
        return list(map(RowCopy._make, map(_values, self.rows.values())))

    def _expiry(self, updated: float) -> float:
        # At whole seconds: however many streamers fall silent, the rows are searched at most once a second.
        return int(updated) + 1 + self._stale_after

    def expire(self, now: float) -> bool:
        """Remove the rows that nothing updated for ``stale_after`` seconds (to the next whole one); tells if any."""
        if now < self._next_expiry:
            return False
        stale = [name for name, row in self.rows.items() if now >= self._expiry(row.updated)]
        for name in stale:
            self.drop(name)
        self.expired += len(stale)
        self._next_expiry = min((self._expiry(row.updated) for row in self.rows.values()), default=math.inf)
        return bool(stale)
