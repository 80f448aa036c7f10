"""The state of a store. Not thread-safe; the caller passes the time."""

from __future__ import annotations

import heapq
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import tzinfo
from itertools import repeat, starmap
from typing import Final

from exporter.errors import InvalidUpdate, shown
from exporter.store import validation
from exporter.store.clips_today import ClipsToday
from exporter.store.event_ids import KnownIds
from exporter.store.journal import CLEARED, CLIPS, TRIGGERS, Changes, Journal
from exporter.store.rows import EVENTS, PARTS, READINGS, Gauge, Reading, Row, Rows, posted_readings
from exporter.store.triggers import RecentTriggers, Trigger
from exporter.store.validation import Limits, Reason

STEP: Final = 1_000
"""Rows that a reader looks at while others wait for the lock: a few milliseconds."""
FEW: Final = 100
"""Rows that a writer looks at: well below a millisecond."""


class State:
    """All rows in the order first seen, the newest triggers, today's clips, and their version.

    ``declared`` are the trigger types whose counters start at 0. ``stale_after`` is in seconds, 0 for never. ``now`` is
    Unix time in all methods, and may go back. Only :meth:`check_streamer` and :meth:`check_type` refuse updates: they
    raise :class:`~exporter.errors.InvalidUpdate`.

    Writers use only ``rows`` and ``posted`` without the store's lock: they look up a row, replace the reading of one of
    its gauges, and then add the gauge to ``posted``. :meth:`take_in` makes the reading visible to readers.
    """

    def __init__(
        self, declared: Iterable[str], limits: Limits, stale_after: float, time_zone: tzinfo | None, now: float
    ) -> None:
        self.limits = limits
        self.zeros: Mapping[str, int] = dict.fromkeys(declared, 0)
        self.never: Mapping[str, float] = {}
        self.others: Counter[str] = Counter()  # number of rows that have each undeclared type
        self.rows: dict[str, Row] = {}
        self.posted: dict[str, dict[Gauge, Row]] = {name: {} for name in READINGS}
        self.recent = RecentTriggers()
        self.clips_today = ClipsToday(time_zone, limits.streamers, now)
        self.ids = KnownIds()
        self.journal = Journal()
        self.version = 0
        self.changed = dict.fromkeys(PARTS, 0)
        """The version at which each part of any row last changed."""
        self.last_updated = now
        self.expired = 0
        self._stale_after = stale_after
        self._numbers = 0  # number of rows created so far
        self._restored = 0.0
        # Rows by the second in which they were due when last checked. Updates do not move rows; a row that was updated
        # since then moves on when its second comes.
        self._due: dict[float, list[Row]] = {}
        self._seconds: list[float] = []  # a heap of the keys
        self._latest = 0.0
        self._expiring = False

    # -- rows

    def check_streamer(self, streamer: object, now: float) -> str:
        """Return the streamer's name; refuses invalid names and streamers above the limit."""
        name = validation.name("streamer", streamer, self.limits)
        if name not in self.rows and len(self.rows) >= self.limits.streamers:
            self.expire(now, sys.maxsize)
            if len(self.rows) >= self.limits.streamers:
                expected = f"at most {self.limits.streamers} streamers at once"
                full = f"limit reached ({self.limits.streamers}): {shown(name)} refused (--limit.streamers)"
                raise InvalidUpdate("streamer", name, expected, Reason.STREAMERS, full)
        return name

    def row(self, name: str, now: float) -> Row:
        """Return the streamer's row, a new one if there is none."""
        row = self.rows.get(name)
        if row is not None and self._is_stale(row, now):
            self._take_in_row(row, now)
            row = self.rows[name]
            if self._is_stale(row, now):
                self._drop_stale(row, now)
                row = None
        if row is None:
            self._numbers += 1
            row = self.rows[name] = Row(self._numbers, name, self.zeros, self.never)
            row.updated = now
            self.changed = dict.fromkeys(
                PARTS, self.version + 1
            )  # the change that creates the row changes all its parts
            if self._stale_after:
                self._enter(row, self._expiry(now))
        return row

    def post(self, name: str, gauge: str, value: float, now: float) -> None:
        """Report a gauge as writers do, for a new streamer or within a batch."""
        row = self.row(name, now)
        posted: Gauge = getattr(row, gauge)
        posted.reading = (value, now)
        self.posted[gauge][posted] = row

    def touch(self, row: Row, now: float) -> int:
        """Record that an event changed a row now; returns the version of the change."""
        self.version += 1
        self.last_updated = now
        row.version = row.events_version = self.changed[EVENTS] = self.version
        row.updated = now
        return self.version

    def drop(self, name: str, now: float) -> bool:
        """Remove a streamer's row; returns whether there was one."""
        row = self.rows.pop(name, None)
        if row is None:
            return False
        row.held = False
        for kind in row.triggers.keys() - self.zeros.keys():
            self.others[kind] -= 1
            if not self.others[kind]:  # no row has this type any more, so another type may be added
                del self.others[kind]
        self.version += 1
        self.last_updated = now
        self.journal.add(self.version, CLEARED, name, row=row.number)
        return True

    def reset(self, now: float) -> None:
        """Remove all streamers, triggers and clips."""
        for name in list(self.rows):
            self.drop(name, now)
        for posted in self.posted.values():
            posted.clear()
        self.recent.clear()
        self.clips_today.clear()
        self._start_again(now)

    def _start_again(self, now: float) -> int:
        self.version += 1
        self.last_updated = now
        self.journal.start_again(self.version)
        return self.version

    # -- events

    def check_type(self, kind: str, now: float) -> None:
        """Refuse trigger types above the limit."""
        if kind in self.zeros or kind in self.others:
            return
        if len(self.zeros) + len(self.others) >= self.limits.trigger_types:
            self.expire(now, sys.maxsize)  # the streamer that has one of them may be gone
        if len(self.zeros) + len(self.others) >= self.limits.trigger_types:
            expected = f"at most {self.limits.trigger_types} trigger types"
            full = f"limit reached ({self.limits.trigger_types}): {shown(kind)} refused (--limit.trigger-types)"
            raise InvalidUpdate("trigger_type", kind, expected, Reason.TRIGGER_TYPES, full)

    def trigger(self, name: str, kind: str, details: str, now: float, at: float | None = None) -> None:
        """Count a trigger of a checked type; ``details`` is JSON text, ``at`` its time (default ``now``)."""
        row = self.row(name, now)
        version = self.touch(row, now)
        if kind not in row.triggers:
            self.others[kind] += 1
        # Without a call, in which a signal handler might count one more.
        row.triggers = {**row.triggers, kind: row.triggers[kind] + 1 if kind in row.triggers else 1}
        # A trigger that is reported late may be older than the newest; one without a time is the newest.
        newest = now if at is None else max(at, row.last_triggers.get(kind, at))
        row.last_triggers = {**row.last_triggers, kind: newest}
        trigger = Trigger(row.streamer, kind, now if at is None else at, details)
        self.recent.add(trigger)
        self.journal.add(version, TRIGGERS, row.streamer, trigger=trigger)

    def clip(self, name: str, now: float) -> None:
        """Count a clip."""
        self.turn_day(now)
        row = self.row(name, now)
        version = self.touch(row, now)
        row.clips += 1
        forgotten = self.clips_today.increment(row.streamer, self.rows)
        self.journal.add(version, CLIPS, row.streamer)
        if forgotten is not None:
            self.version += 1
            self.journal.add(self.version, CLEARED, forgotten)

    # -- time, and readings of writers

    def turn_day(self, now: float) -> None:
        """Start a new day if it is time."""
        if self.clips_today.turn(now):
            self._start_again(now)

    def take_in(self, now: float, most: int) -> None:
        """Make posted readings visible to readers, of at most ``most`` gauges."""
        for name, gauges in self.posted.items():
            posted: list[tuple[Gauge, Row]] = []
            # Writers only add, but a signal handler may take in what is looked at here. What left before stays here.
            with suppress(KeyError):
                posted.extend(starmap(gauges.popitem, repeat((), min(most, len(gauges)))))
            if posted:
                self._take_in(name, posted, now)

    def _take_in(self, name: str, posted: list[tuple[Gauge, Row]], now: float) -> None:
        # They left ``posted`` first, and are read now: what was posted in between is taken in now and once more later.
        readings = posted_readings(posted)
        version = self.version = self.changed[name] = self.version + 1
        newest = -math.inf
        # The hot loop over all updates: the usual case comes first, inline.
        for (gauge, row), reading in zip(posted, readings, strict=True):
            if reading is gauge.known:
                continue
            at, updated = reading[1], row.updated
            if updated is None or not updated <= now or at > now or not row.held:
                self._take_in_one(gauge, row, reading, now)
                continue
            gauge.known = reading
            gauge.version = row.version = version
            if at > updated:
                row.updated = at
                if at > newest:  # noqa: PLR1730 - a call would cost as much as all the rest
                    newest = at
        if newest > self.last_updated or self.last_updated > now:
            self.last_updated = min(now, max(newest, 0.0))

    def _take_in_one(self, gauge: Gauge, row: Row, reading: Reading, now: float) -> None:
        """Take in a reading of a restored or dropped row, or after the clock was set back."""
        if not row.held:
            return  # dropped while a writer was updating it
        at = min(reading[1], now)  # no times in the future after the clock was set back
        gauge.known = reading
        gauge.version = row.version = self.version
        if row.updated is None or row.updated > now or at > row.updated:
            row.updated = at
        self.last_updated = max(at, self.last_updated if self.last_updated <= now else at)

    def _take_in_row(self, row: Row, now: float) -> None:
        for name, posted in self.posted.items():
            gauge: Gauge = getattr(row, name)
            if posted.pop(gauge, None) is not None:
                self._take_in(name, [(gauge, row)], now)

    def _is_stale(self, row: Row, now: float) -> bool:
        return bool(self._stale_after) and self._expiry(row.updated) <= now

    def _drop_stale(self, row: Row, now: float) -> None:
        if self.drop(row.streamer, now):
            self.expired += 1

    def expire(self, now: float, most: int) -> None:
        """Drop who is stale, after looking at no more than ``most`` rows that may be."""
        if self._expiring:  # a signal handler has interrupted this very method, which goes on after it
            return
        self._expiring = True
        try:
            if self._expiry(now) < self._latest:
                self._set_clock_back(now)
            while self._seconds and self._seconds[0] <= now and most > 0:
                rows = self._due[self._seconds[0]]
                while rows and most > 0:
                    most -= 1
                    self._look_at(rows.pop(), now)
                if not rows:
                    del self._due[heapq.heappop(self._seconds)]
        finally:
            self._expiring = False

    def _look_at(self, row: Row, now: float) -> None:
        self._take_in_row(row, now)
        if not row.held:
            return
        if self._is_stale(row, now):
            self._drop_stale(row, now)
        else:
            self._enter(row, self._expiry(row.updated))

    def behind(self, now: float) -> bool:
        """Return whether :meth:`take_in` or :meth:`expire` has more rows than one step processes."""
        due = self._due[self._seconds[0]] if self._seconds and self._seconds[0] <= now else ()
        return len(due) > STEP or any(len(posted) > STEP for posted in self.posted.values())

    def _expiry(self, updated: float | None) -> float:
        # Rounded up to whole seconds, so that rows due together are checked together.
        return int(self._restored if updated is None else updated) + 1 + self._stale_after

    def _enter(self, row: Row, expiry: float) -> None:
        if expiry not in self._due:
            self._due[expiry] = []
            heapq.heappush(self._seconds, expiry)
            self._latest = max(self._latest, expiry)
        self._due[expiry].append(row)

    def _set_clock_back(self, now: float) -> None:
        """Adjust the time and expiry of all rows after the clock was set back."""
        self._due, self._seconds, self._latest = {}, [], 0.0
        self._restored = min(self._restored, now)
        self.version += 1
        for row in list(self.rows.values()):
            if row.updated is not None and row.updated > now:
                row.updated, row.version = now, self.version
            self._enter(row, self._expiry(row.updated))

    # -- followers and storage

    def changes(self, since: int, upto: int | None, ids: int) -> Changes:
        """Return what changed after the version ``since``: events up to ``upto``, and ids after the first ``ids``."""
        # First of all: what a finalizer adds from here on is for the next time.
        version, total = self.version, self.journal.total
        events, complete = self.journal.since(since)
        start_again = not complete or since > version
        if upto is not None and not start_again and upto < version:
            version = max(upto, since)
        if events and events[-1].version > version:
            events = [event for event in events if event.version <= version]
        rows = list(self.rows.values())  # a signal handler may report a new streamer meanwhile
        today: Mapping[str, int]
        if start_again:
            today = self.clips_today.copy()
        else:
            rows = [row for row in rows if row.version > since] if self.version > since else []
            today = {event.streamer: self.clips_today.get(event.streamer) for event in events}
        return Changes(
            since=since,
            version=version,
            start_again=start_again,
            rows=Rows(rows, PARTS if start_again else {part for part, at in self.changed.items() if at > since}),
            events=events,
            total=total,
            recent=self.recent.copy(),
            clips_today=today,
            day_ends=self.clips_today.ends,
            ids=self.ids.since(ids),
            ids_total=self.ids.total,
        )

    def begin_restoring(self, now: float) -> int:
        """Prepare to restore rows, which expire after ``stale_after`` without updates; returns their version."""
        self.turn_day(now)
        self._restored = now
        return self._start_again(now)
